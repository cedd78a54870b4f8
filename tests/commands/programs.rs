//! Real programs, as Debian has them: what `run` tells of each rises to its end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::hub::{Hub, text};

/// A hub, and a folder in which programs find their input.
struct House {
    hub: Hub,
    folder: TempDir,
    /// What runs programs.
    runner: Vec<String>,
}

/// What was told of a program.
struct Told {
    /// What it said itself, without what `run` adds before and after it.
    percents: Vec<f64>,
    /// The stage of each.
    stages: Vec<String>,
    program: String,
}

impl House {
    fn new() -> House {
        let house = House {
            hub: Hub::start(),
            folder: tempfile::tempdir().unwrap(),
            runner: Vec::new(),
        };
        house.file("noise", &noise(4_000_000));
        house
    }

    /// Has every such call of a program on these files take so long: with what only computes,
    /// the fastest machine would be done before it has told anything.
    fn slow(&mut self, call: &str, millis: u32, files: &[&str]) {
        let strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"];
        self.runner = strace.map(str::to_owned).to_vec();
        for file in files {
            let path = self.path().join(file).display().to_string();
            self.runner.extend(["-P".to_owned(), path]);
        }
        let delay = format!("-einject={call}:delay_enter={millis}000");
        self.runner.extend([format!("-etrace={call}"), delay]);
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str, content: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Does what has to be done before.
    fn prepare(&self, command: &str) {
        let output = self
            .with_folder(Command::new("sh"))
            .args(["-c", command])
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            text(&output.stderr)
        );
    }

    fn told(&self, command: &str) -> Told {
        self.told_with(&[], command)
    }

    /// Runs a program, and returns what was told of it.
    fn told_with(&self, flags: &[&str], command: &str) -> Told {
        let mut run = self.with_folder(self.hub.command(["run", "--job", "a"]));
        run.args(flags).arg("--").args(&self.runner);
        run.args(command.split(' '));
        let output = run.stdin(Stdio::null()).output().unwrap();
        let program = command.split(' ').next().unwrap().to_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert_ne!(
            code,
            Some(127),
            "{program} isn't there: scripts/test installs it"
        );
        let passed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code, Some(0), "{command}: {said}{passed}");
        let events = self.hub.events("a").into_iter();
        let (mut percents, mut stages): (Vec<f64>, Vec<String>) = events
            .filter_map(|(_, data)| {
                let stage = data["stage"].as_str().unwrap_or_default();
                Some((data["percent"].as_f64()?, stage.to_owned()))
            })
            .unzip();
        assert_eq!(percents.pop(), Some(100.0), "{command}");
        assert!(!percents.contains(&100.0), "{command}: {percents:?}");
        stages.pop();
        if percents.first() == Some(&0.0) {
            percents.remove(0);
            stages.remove(0);
        }
        Told {
            percents,
            stages,
            program,
        }
    }

    /// The same with what borg has stored.
    fn slow_repository(&mut self) {
        let entries = fs::read_dir(self.path().join("repo/data/0")).unwrap();
        let paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        self.slow("read", 40, &paths);
    }

    fn with_folder(&self, mut command: Command) -> Command {
        for (name, value) in [
            ("HOME", self.path().to_str().unwrap()),
            ("XDG_CACHE_HOME", "cache"),
            ("TERM", "xterm"),
            ("RESTIC_PASSWORD", "x"),
            ("RESTIC_PROGRESS_FPS", "20"),
        ] {
            command.env(name, value);
        }
        // Where these are set, cargo shows no bar.
        for name in [
            "CARGO_TARGET_DIR",
            "CI",
            "TF_BUILD",
            "CARGO_TERM_PROGRESS_WHEN",
        ] {
            command.env_remove(name);
        }
        command.current_dir(self.path());
        command
    }

    /// Serves the folder's files, each for two seconds and a half. Returns the address.
    fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let folder = self.path().to_owned();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let folder = folder.clone();
                thread::spawn(move || serve(stream.unwrap(), &folder));
            }
        });
        address
    }
}

impl Told {
    /// It rose, to so much at least, in so many steps at least.
    fn rises(&self, last: f64, steps: usize) {
        let Told {
            percents, program, ..
        } = self;
        assert!(percents.is_sorted(), "{program}: {percents:?}");
        assert!(percents.len() >= steps, "{program}: {percents:?}");
        assert!(percents.last() >= Some(&last), "{program}: {percents:?}");
    }

    /// It rose in each of its stages, to so much at least in the last, and has these.
    fn rises_in_stages(&self, last: f64, expected: &[&str]) {
        let Told {
            percents,
            stages,
            program,
        } = self;
        let told: Vec<_> = stages.iter().zip(percents).collect();
        let phases: Vec<_> = told.chunk_by(|a, b| a.0 == b.0).collect();
        for phase in &phases {
            assert!(phase.is_sorted_by_key(|told| told.1), "{program}: {told:?}");
        }
        let mut names = phases.iter().map(|phase| phase[0].0);
        for stage in expected {
            assert!(
                names.any(|name| name == stage),
                "{program}: {stage}: {told:?}"
            );
        }
        assert!(percents.last() >= Some(&last), "{program}: {told:?}");
    }
}

/// Answers one request. What the client does with it is its own affair.
fn serve(mut stream: TcpStream, folder: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    while lines
        .next()
        .and_then(Result::ok)
        .is_some_and(|line| !line.is_empty())
    {}
    let mut words = request.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or("/"),
    );
    let Ok(content) = fs::read(folder.join(&target[1..])) else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    let kind = if target.ends_with(".mp4") {
        "video/mp4"
    } else {
        "application/octet-stream"
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let _ = stream.write_all(head.as_bytes());
    if method != "GET" {
        return;
    }
    for chunk in content.chunks(content.len() / 50 + 1) {
        if stream.write_all(chunk).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Bytes that can't be packed.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count / 8).flat_map(|_| next()).collect()
}

/// A sound of so many seconds.
fn sound(seconds: usize) -> Vec<u8> {
    let rate = 44_100_u32;
    let data = noise(seconds * rate as usize * 2);
    let mut wav = Vec::from(*b"RIFF");
    wav.extend((36 + data.len() as u32).to_le_bytes());
    wav.extend(*b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * 2).to_le_bytes());
    wav.extend(*b"\x02\0\x10\0data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

/// The pip that the tests' clients come by.
fn pip() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients-venv/bin/pip")
}

#[test]
fn seven_zip() {
    let mut house = House::new();
    // It reads a megabyte at once.
    house.slow("read", 400, &["noise"]);
    let told = house.told("7z a -bsp1 -mx=1 -mmt=1 Sale-50%.7z noise");
    told.rises(50.0, 3);
}

#[test]
fn xz() {
    let mut house = House::new();
    // It tells once a second.
    house.slow("read", 6, &["noise"]);
    house
        .told_with(&["--pty"], "xz -v -k -T1 -1 noise")
        .rises(50.0, 2);
}

#[test]
fn zstd() {
    let mut house = House::new();
    house.slow("read", 60, &["noise"]);
    let told = house.told("zstd --progress --single-thread -3 noise");
    told.rises(70.0, 5);
}

#[test]
fn pv() {
    House::new().told("pv -f -i 0.2 -L 2m noise").rises(70.0, 5);
}

#[test]
fn pv_in_numbers() {
    let told = House::new().told_with(&["--format", "number"], "pv -n -i 0.2 -L 2m noise");
    told.rises(70.0, 5);
}

#[test]
fn zip() {
    let mut house = House::new();
    let names = ["in/a 50%", "in/b", "in/c", "in/d"];
    for name in names {
        house.file(name, &noise(400_000));
    }
    house.slow("read", 40, &names);
    let told = house.told("zip -dc -db -r out.zip in");
    told.rises(50.0, 2);
}

#[test]
fn a_table_of_ratios_moves_nothing() {
    let house = House::new();
    house.prepare("gzip -k noise && zip -q out.zip noise && zstd -q noise");
    for command in ["gzip -l noise.gz", "unzip -v out.zip", "zstd -l noise.zst"] {
        let mut run = house.with_folder(house.hub.command(["run", "--begin", "--job", "a", "--"]));
        assert!(run.args(command.split(' ')).status().unwrap().success());
        let events = house.hub.events("a").into_iter();
        let percents: Vec<_> = events
            .filter_map(|(_, data)| data["percent"].as_f64())
            .collect();
        assert_eq!(percents, [0.0], "{command}");
    }
}

#[test]
fn dd() {
    let house = House::new();
    house.prepare("mkfifo in; (exec >/dev/null 2>&1; timeout 60 pv -q -L 1200k noise >in) &");
    let told = house.told("dd if=in of=out bs=4k count=976 iflag=fullblock status=progress");
    told.rises(50.0, 2);
}

#[test]
fn tar() {
    let told = House::new().told(
        "tar -cf out --checkpoint=40 --checkpoint-action=echo --checkpoint-action=exec=sleep$IFS.2 \
         noise",
    );
    told.rises(90.0, 8);
}

#[test]
fn rsync() {
    let told = House::new().told("rsync --info=progress2 --bwlimit=1500 noise out");
    told.rises(60.0, 2);
}

#[test]
fn rsync_of_several_files() {
    let house = House::new();
    for name in ["50% a", "99% b", "c", "d"] {
        house.file(&format!("in/{name}"), &noise(1_000_000));
    }
    let told = house.told("rsync -a --progress --bwlimit=1500 in/ out");
    told.rises(70.0, 3);
}

#[test]
fn gstreamer() {
    let house = House::new();
    house.file("in.wav", &sound(4));
    let told = house.told(
        "gst-launch-1.0 filesrc location=in.wav ! wavparse ! progressreport update-freq=1 ! \
         fakesink sync=true",
    );
    told.rises(50.0, 1);
}

#[test]
fn image_magick() {
    let mut house = House::new();
    house.slow("write", 5, &["out.png"]);
    let told = house.told("convert -monitor -size 250x250 plasma: -resize 400% out.png");
    told.rises_in_stages(90.0, &["resize image", "save image"]);
}

#[test]
fn git() {
    let house = House::new();
    for n in 0..1000 {
        house.file(&format!("in/{n} 50%"), &noise(2_000 + n * 8));
    }
    house.prepare(
        "cd in && git init -q . && git add . && git -c user.name=a -c user.email=a commit -qm a",
    );
    let told = house.told(&format!(
        "git clone --progress file://{}/in out",
        house.path().display()
    ));
    told.rises_in_stages(0.0, &["Receiving objects"]);
}

#[test]
fn aria2() {
    let house = House::new();
    let address = house.serve();
    let told = house.told(&format!(
        "aria2c --summary-interval=1 -d out {address}/noise"
    ));
    told.rises(40.0, 2);
}

#[test]
fn aria2_of_several_files() {
    let house = House::new();
    house.file("more", &noise(1_000_000));
    let address = house.serve();
    let told = house.told(&format!(
        "aria2c --summary-interval=1 -j 1 -Z -d out {address}/noise {address}/more"
    ));
    told.rises(60.0, 4);
}

#[test]
fn wget2() {
    let house = House::new();
    let address = house.serve();
    let told = house.told(&format!(
        "wget2 --progress=bar --force-progress -O out {address}/noise"
    ));
    told.rises(60.0, 3);
}

#[test]
fn wget() {
    let house = House::new();
    let address = house.serve();
    house
        .told(&format!("wget -O out {address}/noise"))
        .rises(80.0, 5);
}

#[test]
fn curl() {
    let house = House::new();
    let address = house.serve();
    house
        .told(&format!("curl -o out {address}/noise"))
        .rises(60.0, 2);
}

#[test]
fn curl_with_a_bar() {
    let house = House::new();
    let address = house.serve();
    house
        .told(&format!("curl -# -o out {address}/noise"))
        .rises(80.0, 5);
}

#[test]
fn yt_dlp() {
    let house = House::new();
    house.prepare("cp noise clip.mp4");
    let address = house.serve();
    let told = house.told(&format!("yt-dlp -o 80%%.mp4 {address}/clip.mp4"));
    told.rises(70.0, 5);
}

#[test]
fn rclone() {
    let house = House::new();
    for name in ["in/50% a", "in/b"] {
        house.file(name, &noise(2_000_000));
    }
    let told = house.told("rclone copy --config= --bwlimit 1500k --stats 200ms -v in out");
    told.rises(70.0, 3);
}

#[test]
fn rclone_in_json() {
    let told = House::new()
        .told("rclone copy --config= --bwlimit 1500k --stats 200ms -v --use-json-log noise out");
    told.rises(70.0, 3);
}

#[test]
fn restic() {
    let mut house = House::new();
    let names: Vec<_> = (0..10).map(|n| format!("in/{n} 50%")).collect();
    for name in &names {
        house.file(name, &noise(4_000_000));
    }
    house.prepare("restic -q -r repo init");
    house.slow(
        "read",
        40,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let told = house.told("restic -r repo --json backup in");
    told.rises(50.0, 3);
}

#[test]
fn borg() {
    let mut house = House::new();
    house.prepare(
        "mkdir in && for n in 0 1 2 3 4; do cp noise \"in/$n 50%\"; done\n\
         borg init -e none repo && borg create repo::a in",
    );
    house.slow_repository();
    house.told("borg extract --progress repo::a").rises(50.0, 3);
}

#[test]
fn borg_in_json() {
    let mut house = House::new();
    house.prepare(
        "cat noise noise noise noise noise >large\n\
         borg init -e none repo && borg create repo::a large",
    );
    house.slow_repository();
    let told = house.told("borg extract --progress --log-json repo::a");
    told.rises(50.0, 3);
}

#[test]
fn pip_in_a_terminal() {
    let house = House::new();
    house.prepare(
        "python3 -c 'import zipfile\n\
         wheel = zipfile.ZipFile(\"demo-1.0-py3-none-any.whl\", \"w\")\n\
         wheel.write(\"noise\", \"demo/noise\")\n\
         wheel.writestr(\"demo-1.0.dist-info/METADATA\", \"Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n\")\n\
         wheel.writestr(\"demo-1.0.dist-info/WHEEL\", \"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n\")\n\
         wheel.writestr(\"demo-1.0.dist-info/RECORD\", \"\")\n\
         wheel.close()'",
    );
    let address = house.serve();
    let told = house.told_with(
        &["--pty"],
        &format!(
            "{} download --no-deps --no-cache-dir --disable-pip-version-check -d out \
             {address}/demo-1.0-py3-none-any.whl",
            pip().display()
        ),
    );
    told.rises(60.0, 3);
}

#[test]
fn cargo_in_a_terminal() {
    let house = House::new();
    for n in 0..5 {
        let manifest =
            format!("[package]\nname = \"a{n}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
        house.file(&format!("a{n}/Cargo.toml"), manifest.as_bytes());
        house.file(&format!("a{n}/src/lib.rs"), b"");
    }
    house.file(
        "Cargo.toml",
        b"[workspace]\nmembers = [\"a*\"]\nresolver = \"2\"\n",
    );
    // It shows a bar only to who has waited for half a second.
    house.file("slowly", b"#!/bin/sh\nsleep 0.4\nexec \"$@\"\n");
    house.prepare("chmod +x slowly");
    let cargo_home = std::env::var("HOME").unwrap();
    let told = house.told_with(
        &["--pty"],
        &format!(
            "env HOME={cargo_home} RUSTC_WRAPPER={}/slowly {} build --offline -j1",
            house.path().display(),
            env!("CARGO")
        ),
    );
    told.rises(40.0, 1);
}

#[test]
fn apt_in_a_terminal() {
    let told = House::new().told_with(&["--pty"], "apt-get install --simulate --reinstall bash");
    told.rises_in_stages(0.0, &["Reading state information"]);
}

#[test]
fn ffmpeg_of_a_list() {
    let house = House::new();
    house.prepare("ffmpeg -v error -f lavfi -i testsrc=d=4:s=64x64:r=25 -c:v mpeg4 'a b.mp4'");
    house.file("list", b"file 'a b.mp4'\nfile a\\ b.mp4\n");
    let told = house.told("ffmpeg -re -f concat -safe 0 -i list -c copy out.mp4");
    told.rises(50.0, 3);
}

#[test]
fn a_quiet_ffmpeg() {
    let house = House::new();
    house.prepare("ffmpeg -v error -f lavfi -i testsrc=d=6:s=64x64:r=25 -c:v mpeg4 a.mp4");
    let told = house.told("ffmpeg -v error -stats -re -i a.mp4 -c copy out.mp4");
    told.rises(50.0, 3);
}

/// A house with a film, of which so little is packed that a program that reads it slowly works
/// slowly.
fn cinema() -> House {
    let mut house = House::new();
    house.prepare(
        "ffmpeg -v error -f lavfi -i testsrc=d=5:s=320x180:r=25 -c:v rawvideo -pix_fmt yuv420p \
         in.mkv",
    );
    house.slow("read", 4, &["in.mkv"]);
    house
}

#[test]
fn handbrake() {
    let told = cinema().told("HandBrakeCLI -i in.mkv -o out.mp4 -e x264 --encoder-preset fast");
    // It looks at the film before.
    told.rises_in_stages(50.0, &["Encoding"]);
}

#[test]
fn handbrake_in_json() {
    let told =
        cinema().told("HandBrakeCLI --json -i in.mkv -o out.mp4 -e x264 --encoder-preset fast");
    told.rises(50.0, 1);
}

#[test]
fn lame() {
    let mut house = House::new();
    house.file("in.wav", &sound(10));
    house.slow("read", 5, &["in.wav"]);
    let told = house.told("lame --disptime 0.1 in.wav out.mp3");
    told.rises(50.0, 3);
}

#[test]
fn opusenc() {
    let mut house = House::new();
    house.file("in.wav", &sound(10));
    // It tells once a second.
    house.slow("read", 15, &["in.wav"]);
    house.told("opusenc in.wav out.opus").rises(50.0, 2);
}

#[test]
fn mksquashfs_in_a_terminal() {
    let mut house = House::new();
    house.prepare("mkdir in && cp noise in/a && cp noise in/b");
    house.slow("read", 40, &["in/a", "in/b"]);
    let told = house.told_with(&["--pty"], "mksquashfs in out -processors 1");
    told.rises(50.0, 3);
}

#[test]
fn qemu_img() {
    let mut house = House::new();
    house.slow("pread64", 40, &["noise"]);
    let told = house.told("qemu-img convert -m 1 -p -c -O qcow2 noise out");
    told.rises(50.0, 3);
}
