//! Generates the gRPC services over the message types of `waypost-proto`, and the stored formats,
//! without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/wire");
    println!("cargo:rerun-if-changed=wire");
    let services = protox::compile(
        ["waypost/v1/peer.proto", "waypost/v1/desk.proto"],
        ["../proto/wire"],
    )?;
    tonic_prost_build::configure()
        .extern_path(".waypost.v1", "::waypost_proto::wire")
        .build_transport(false)
        .compile_fds(services)?;
    let stored = protox::compile(["waypost/node/v1/store.proto"], ["wire"])?;
    tonic_prost_build::configure().compile_fds(stored)?;
    Ok(())
}
