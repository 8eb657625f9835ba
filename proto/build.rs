//! Compiles the .proto files without protoc and keeps their descriptors for reflection.

use std::path::Path;
use std::{env, fs, io};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=wire");
    let root = Path::new("wire");
    let mut files: Vec<_> = fs::read_dir(root.join("waypost/v1"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    // prost's own types drop custom options: the compiler's encoding keeps them.
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    let out = env::var_os("OUT_DIR").ok_or("Cargo gives no OUT_DIR")?;
    fs::write(Path::new(&out).join("waypost.fds"), &descriptors)?;
    let mut config = prost_build::Config::new();
    config.btree_map(["."]);
    config.compile_fds(prost_types_set(&compiler)?)?;
    Ok(())
}

fn prost_types_set(
    compiler: &protox::Compiler,
) -> Result<prost_types::FileDescriptorSet, Box<dyn std::error::Error>> {
    Ok(prost_types::FileDescriptorSet::decode(
        compiler.encode_file_descriptor_set().as_slice(),
    )?)
}
