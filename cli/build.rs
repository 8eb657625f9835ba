//! Generates the clients of the services over the message types of `waypost-proto`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/wire");
    let files = protox::compile(
        ["waypost/v1/desk.proto", "waypost/v1/peer.proto"],
        ["../proto/wire"],
    )?;
    tonic_prost_build::configure()
        .extern_path(".waypost.v1", "::waypost_proto::wire")
        .build_server(false)
        .build_transport(false)
        .compile_fds(files)?;
    Ok(())
}
