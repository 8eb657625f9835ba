//! Generates the client of the desk service over the message types of `waypost-proto`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/wire");
    let mut files = protox::compile(["waypost/v1/desk.proto"], ["../proto/wire"])?;
    for file in &mut files.file {
        if file.name() != "waypost/v1/desk.proto" {
            file.service.clear();
        }
    }
    tonic_prost_build::configure()
        .extern_path(".waypost.v1", "::waypost_proto::wire")
        .build_server(false)
        .build_transport(false)
        .compile_fds(files)?;
    Ok(())
}
