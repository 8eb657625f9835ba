# Two commands do everything: `make demo` and `make test`.

# The programs are looked for in `target/`.
unexport CARGO_TARGET_DIR

.PHONY: demo test bench build prerequisites interop lint

# A built tree runs the demo in under a minute; the first build takes some minutes.
demo: build
	target/debug/waypost demo

test: build
	cargo test --workspace --locked
	$(MAKE) interop

# Foreign implementations check what ours wrote: logs and proofs (C2SP), sealed bodies (OpenPGP).
interop: build
	rm -rf target/interop
	target/debug/waypost demo --keep target/interop > target/interop.log
	scripts/interop target/interop

# Two nodes in two processes, then a log as it grows to a million entries. What is measured and printed
# is changed by `BENCH="--messages 1000 --json"` and `LOG_BENCH="--sizes 1000,10000 --json"`.
bench: prerequisites
	cargo build --workspace --release --locked
	cargo bench --workspace --locked --bench delivery -- $(BENCH)
	cargo bench --workspace --locked --bench log -- $(LOG_BENCH)

build: prerequisites
	cargo build --workspace --locked

prerequisites:
	@scripts/prerequisites

lint: prerequisites
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
