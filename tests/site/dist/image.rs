//! The image: its archive is what it should be, and what is in it runs as its user with a root that cannot be written.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{AARCH64, VERSION, X86_64, figure, said, unpack};
use crate::support::system::{needed, shipped, start, succeed};
use crate::support::{APPID, Outcome, Server, bare, simulator};

const LARGEST: u64 = 15 * 1024 * 1024;

fn archive(architecture: &str) -> PathBuf {
    said("DIST_IMAGE").join(format!("auth-ticket-{VERSION}-{architecture}.oci.tar"))
}

/// Unpacks an archive into `place`, all sums checked: the image's configuration, and `root/` with its files.
fn unpacked(architecture: &str, place: &Path) -> Value {
    succeed(Command::new("tar").arg("-xf").arg(archive(architecture)).arg("-C").arg(place));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let path = place.join("blobs/sha256").join(&digest);
        let sum = succeed(Command::new("sha256sum").arg(&path));
        assert!(sum.starts_with(&digest), "{digest} has other contents");
        assert_eq!(descriptor["size"], fs::metadata(&path).unwrap().len());
        path
    };
    let json = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = json(place.join("index.json"));
    let manifest = json(blob(&index["manifests"][0]));
    let config = json(blob(&manifest["config"]));
    let layer = blob(&manifest["layers"][0]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let sum = succeed(Command::new("sh").args(["-c", "gzip -dc \"$1\" | sha256sum", "sh"]).arg(&layer));
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sum.split(' ').next().unwrap()));
    fs::create_dir(place.join("root")).unwrap();
    succeed(Command::new("tar").arg("-xzpf").arg(layer).arg("-C").arg(place.join("root")));
    config
}

#[test]
#[ignore = "make dist-test"]
fn what_is_in_the_image_serves_as_its_user_on_a_root_that_cannot_be_written() {
    let place = tempfile::tempdir().unwrap();
    let image = unpacked("amd64", place.path());
    let (root, config) = (place.path().join("root"), &image["config"]);
    let user = config["User"].as_str().unwrap();
    assert_eq!(user, "65532:65532");

    // What an orchestrator adds: a volume with keys and configuration, a small /tmp.
    let platform = simulator();
    let volume = place.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let made = Outcome::of(bare(&["keys", "init", "--keys"]).arg(volume.join("keys")));
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"unix:/tmp/operators.sock\"\nkeys_dir = \"/volume/keys\"\n\
         [[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"http://{}\"\n",
        platform.address
    );
    fs::write(volume.join("auth-ticket.toml"), text).unwrap();
    succeed(Command::new("chown").args(["-R", user]).arg(&volume));
    fs::create_dir(root.join("volume")).unwrap();

    // A mount namespace in which nothing of the image can be written.
    let mounts = r#"
        mount --bind "$1" "$1" && mount --bind "$2" "$1/volume" && mount -t tmpfs -o mode=1777 none "$1/tmp"
        mount -o remount,ro,bind "$1" && mount -o remount,ro,bind "$1/volume"
        echo ready
        exec sleep infinity"#;
    let mut keeper = Command::new(needed("unshare"));
    keeper.args(["-m", "sh", "-euc", mounts, "sh"]).arg(&root).arg(&volume);
    let (keeper, _) = start(&mut keeper, 1);
    let in_image = |program: &Value| {
        let program: Vec<String> = serde_json::from_value(program.clone()).unwrap();
        let mut command = Command::new(needed("nsenter"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("WX_SECRET", "app-secret");
        command
            .env("AUTH_TICKET_CONFIG", "/volume/auth-ticket.toml")
            .arg("-m")
            .arg("-t")
            .arg(keeper.0.id().to_string());
        command.arg("chroot").arg(format!("--userspec={user}")).arg(&root).args(program);
        command
    };

    let mut server = Server::start(in_image(&config["Entrypoint"]).arg("serve"));
    let process = |file: &str| format!("/proc/{}/{file}", server.pid());
    let status = fs::read_to_string(process("status")).unwrap();
    assert!(status.contains("Uid:\t65532\t65532\t65532\t65532\nGid:\t65532\t65532\t65532\t65532"), "{status}");
    let written = fs::write(process("root/file"), "");
    assert!(written.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem));
    let ticket = server.ticket("demo-alice-1");
    assert_eq!(server.verify(&ticket).status, 200);

    // The image's own health check, of a server that runs and of one that has ended.
    let mut test = config["Healthcheck"]["Test"].clone();
    assert_eq!(test.as_array_mut().unwrap().remove(0), "CMD");
    let healthy = Outcome::of(&mut in_image(&test));
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    server.stop();
    let ended = Outcome::of(&mut in_image(&test));
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
#[ignore = "make dist-test"]
fn images_are_small_say_what_they_are_and_hold_nothing_else() {
    for (architecture, target) in [("amd64", X86_64), ("arm64", AARCH64)] {
        let place = tempfile::tempdir().unwrap();
        let image = unpacked(architecture, place.path());
        let size = fs::metadata(archive(architecture)).unwrap().len();
        assert!(size <= LARGEST, "{architecture}: {size} bytes");
        figure(&format!("{architecture}: {size} bytes"));
        assert_eq!((&image["architecture"], &image["os"]), (&json!(architecture), &json!("linux")));
        let config = &image["config"];
        assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/auth-ticket"]));
        assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "/usr/local/bin/auth-ticket", "healthcheck"]));
        assert_eq!(config["Labels"]["org.opencontainers.image.version"], VERSION);
        let files = succeed(Command::new("find").args([".", "-type", "f"]).current_dir(place.path().join("root")));
        let mut files: Vec<&str> = files.lines().collect();
        files.sort_unstable();
        assert_eq!(files, ["./etc/ssl/certs/ca-certificates.crt", "./usr/local/bin/auth-ticket"]);
        let download = tempfile::tempdir().unwrap();
        let binary = download.path().join(unpack(target, download.path()).strip_prefix("/").unwrap());
        let inside = place.path().join("root/usr/local/bin/auth-ticket");
        assert!(fs::read(inside).unwrap() == fs::read(binary).unwrap(), "{architecture} has another binary");

        // As the tools read it that load images.
        for transport in ["oci-archive", "docker-archive"] {
            let mut inspect = Command::new(needed("skopeo"));
            inspect.args(["inspect", "--config", "--override-arch", architecture]);
            let read = succeed(inspect.arg(format!("{transport}:{}", archive(architecture).display())));
            let read: Value = serde_json::from_str(&read).unwrap();
            assert_eq!(read["config"]["User"], "65532:65532", "{transport}: {read}");
        }
    }
}

/// An engine makes of `deploy/Containerfile` what `make image` makes without one.
#[test]
#[ignore = "make dist-test"]
fn the_containerfile_makes_the_same_image() {
    let place = tempfile::tempdir().unwrap();
    let ours = unpacked("amd64", place.path());
    let buildah = || {
        let mut command = Command::new(needed("buildah"));
        command.args(["--storage-driver", "vfs", "--root"]).arg(place.path().join("storage"));
        command.arg("--runroot").arg(place.path().join("run"));
        command
    };
    let mut build = buildah();
    build.args(["bud", "--isolation", "chroot", "--format", "docker", "-f", "deploy/Containerfile", "-t", "image"]);
    build.args(["--build-arg", "BINARY=dist", "--build-arg", "TARGETARCH=amd64"]);
    let version = format!("VERSION={VERSION}");
    let labels = &ours["config"]["Labels"];
    let commit = format!("COMMIT={}", labels["org.opencontainers.image.revision"].as_str().unwrap());
    // The context, as far as these stages take it.
    let context = place.path().join("context");
    fs::create_dir_all(context.join("target/image")).unwrap();
    succeed(Command::new("cp").arg("-a").arg(said("DIST_IMAGE").join("root-amd64")).arg(context.join("target/image")));
    succeed(Command::new("cp").arg("--parents").arg("deploy/Containerfile").arg(&context).current_dir(shipped(".")));
    succeed(build.args(["--build-arg", &version, "--build-arg", &commit, "."]).current_dir(&context));
    let told = succeed(buildah().args(["inspect", "--type", "image", "image"]));
    let theirs: Value = serde_json::from_str(&told).unwrap();
    let theirs = &theirs["Docker"]["config"];
    for key in ["User", "Entrypoint", "Cmd", "ExposedPorts", "StopSignal", "Healthcheck"] {
        let ours = &ours["config"][key];
        assert!(!ours.is_null() && theirs[key] == *ours, "{key}: {} with buildah, {ours} without", theirs[key]);
    }
    for (label, value) in labels.as_object().unwrap() {
        assert_eq!(&theirs["Labels"][label], value, "{label}");
    }
}
