//! Compresses what is embedded for browsers: they get it so, and the program is smaller for it.
//! It is also smaller where its linker can pack what has to be moved when it is loaded, and fold
//! functions and constants that are alike.

#[cfg(feature = "server")]
fn main() {
    const FILES: [&str; 6] = [
        "src/web/index.html",
        "src/web/page.css",
        "src/web/page.js",
        "src/web/landfall.js",
        "src/web/landfall.d.ts",
        "src/routes/openapi.json",
    ];
    println!("cargo::rerun-if-changed=src/web/build.rs");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for path in FILES {
        println!("cargo::rerun-if-changed={path}");
        let text = std::fs::read(path).expect("it is a file of the tree");
        let name = path.rsplit('/').next().unwrap_or_default();
        std::fs::write(out.join(format!("{name}.gz")), gzip(&text))
            .expect("OUT_DIR can be written to");
    }
    if std::env::var_os("CARGO_FEATURE_SERVE").is_none() {
        return;
    }
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let has_static_libc = features.split(',').any(|name| name == "crt-static");
    let pack = ["-Wl,-z,pack-relative-relocs"].as_slice();
    let fold = ["-Wl,--icf=all", "-Wl,--ignore-data-address-equality"].as_slice();
    for flags in [pack, fold] {
        // Rust promises no function an address of its own, and nothing here compares those of
        // constants. C does both.
        let is_allowed = flags != fold || !has_static_libc;
        if is_allowed && starts_with(flags, &out) == Some(true) {
            for flag in flags {
                println!("cargo::rustc-link-arg-bins={flag}");
            }
        }
    }
}

/// Whether a program for release that is linked so can be made, and starts on this machine: an
/// older linker doesn't know the flags, and an older C library not what they make.
#[cfg(feature = "server")]
fn starts_with(flags: &[&str], out: &std::path::Path) -> Option<bool> {
    use std::process::{Command, Stdio};
    let set = |name| std::env::var(name).ok();
    if set("PROFILE")? != "release" || set("TARGET") != set("HOST") {
        return None;
    }
    let (source, program) = (out.join("empty.rs"), out.join("empty"));
    std::fs::write(&source, "fn main() {}").ok()?;
    let mut rustc = Command::new(set("RUSTC")?);
    let usual = set("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(usual.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Some(linker) = set("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.args(flags.iter().map(|flag| format!("-Clink-arg={flag}")));
    rustc
        .arg("-o")
        .arg(&program)
        .arg(source)
        .stderr(Stdio::null());
    let is_made = rustc.status().ok()?.success();
    Some(is_made && Command::new(program).status().ok()?.success())
}

#[cfg(not(feature = "server"))]
fn main() {
    println!("cargo::rerun-if-changed=src/web/build.rs");
}

/// RFC 1952, without a name and a time.
#[cfg(feature = "server")]
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    file.extend(miniz_oxide::deflate::compress_to_vec(text, 10));
    let mut crc = u32::MAX;
    for &byte in text {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    file.extend((!crc).to_le_bytes());
    file.extend((text.len() as u32).to_le_bytes());
    file
}
