use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const ID: &str = "0f3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e";
const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

/// A root directory with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path.replace("ID", ID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.replace("ID", ID)).unwrap();
    }
    root
}

fn seen(root: &TempDir, cgroup: &str) -> Container {
    let cgroup = cgroup.replace("UID", UID).replace("ID", ID);
    let mut containers = Containers::below(root.path().into());
    containers.of_cgroup(&cgroup).expect("a container")
}

/// Runtime, name, pod and namespace, `-` where there is none.
fn names(container: &Container) -> String {
    let all = [
        &container.runtime,
        &container.name,
        &container.pod,
        &container.namespace,
    ];
    let all = all.map(|name| name.as_deref().unwrap_or("-"));
    all.join(" ")
}

const DOCKER: (&str, &str) = (
    "var/lib/docker/containers/ID/config.v2.json",
    r#"{"StreamConfig":{},"State":{"Pid":7},"ID":"ID","Name":"/web","Config":{"Labels":{}}}"#,
);
const PODMAN: &str = r#"[
    {"id":"00","names":["another"],"metadata":"{}"},
    {"id":"ID","names":["web"],"image":"aa","metadata":"{\"name\":\"web\"}","flags":{}}
]"#;
const IN_USER: &str =
    "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container";
const PASSWD: (&str, &str) = (
    "etc/passwd",
    "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:\n",
);

#[test]
fn the_files_of_each_runtime_have_the_name() {
    let docker = root(&[DOCKER]);
    for cgroup in ["/docker/ID", "/system.slice/docker-ID.scope", "/mine/ID"] {
        assert_eq!(names(&seen(&docker, cgroup)), "docker web - -", "{cgroup}");
    }
    for list in ["containers", "volatile-containers"] {
        let path = format!("var/lib/containers/storage/overlay-containers/{list}.json");
        let podman = root(&[(&path, PODMAN)]);
        for cgroup in ["/machine.slice/libpod-ID.scope", "/libpod_parent/libpod-ID"] {
            assert_eq!(names(&seen(&podman, cgroup)), "podman web - -", "{cgroup}");
        }
        let path =
            format!("home/ann/.local/share/containers/storage/overlay-containers/{list}.json");
        let rootless = root(&[PASSWD, (&path, PODMAN)]);
        assert_eq!(names(&seen(&rootless, IN_USER)), "podman web - -");
    }
    let containerd = root(&[(
        "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
        r#"{"ociVersion":"1.1.0","process":{"args":["x"]},"annotations":{
            "io.kubernetes.cri.container-name":"server","io.kubernetes.cri.container-type":"container",
            "io.kubernetes.cri.sandbox-name":"shop-7d4-x","io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
    )]);
    for cgroup in [
        "/kubepods.slice/kubepods-podUID.slice/cri-containerd-ID.scope",
        "/kubepods/burstable/podUID/ID",
        "/kubepods/besteffort/podUID/ID",
        "/kubepods/podUID/ID",
    ] {
        let container = seen(
            &containerd,
            &cgroup.replace("-podUID", "-pod8dbc5577_d0e2_4706_8787_57d52c03ddf2"),
        );
        assert_eq!(
            names(&container),
            "containerd server shop-7d4-x prod",
            "{cgroup}"
        );
        assert_eq!(container.pod_id.as_deref(), Some(UID));
    }
    let nerdctl = root(&[(
        "run/containerd/io.containerd.runtime.v2.task/default/ID/config.json",
        r#"{"annotations":{"nerdctl/name":"web"}}"#,
    )]);
    assert_eq!(names(&seen(&nerdctl, "/default/ID")), "containerd web - -");
    let crio = root(&[
        (
            "run/containers/storage/overlay-containers/ID/userdata/config.json",
            r#"{"annotations":{"io.kubernetes.container.name":"server","io.kubernetes.pod.name":"shop",
                "io.kubernetes.pod.namespace":"prod","io.kubernetes.pod.uid":"u"}}"#,
        ),
        (
            "var/lib/containers/storage/overlay-containers/containers.json",
            r#"[{"id":"ID","names":["k8s_server_shop_prod_u_0"]}]"#,
        ),
    ]);
    for cgroup in ["/kubepods/burstable/podUID/crio-ID", "/elsewhere/ID"] {
        assert_eq!(
            names(&seen(&crio, cgroup)),
            "cri-o server shop prod",
            "{cgroup}"
        );
    }
}

#[test]
fn the_kubelet_names_what_the_runtime_does_not() {
    let log = format!("var/log/containers/shop-7d4-x_prod_server-{ID}.log");
    let logs = root(&[(&log, ""), ("var/log/containers/odd.log", "")]);
    let cgroup = "/kubepods/burstable/podUID/ID";
    assert_eq!(names(&seen(&logs, cgroup)), "- server shop-7d4-x prod");
    let directory = format!("var/log/pods/prod_shop-7d4-x_{UID}/server/0.log");
    let pods = root(&[(&directory, "")]);
    let container = seen(&pods, cgroup);
    assert_eq!(names(&container), "- - shop-7d4-x prod");
    assert_eq!(container.title(), format!("prod/shop-7d4-x/{}", &ID[..12]));
}

#[test]
fn an_unknown_one_has_its_id() {
    let nothing = root(&[]);
    for cgroup in ["/docker/ID", "/novel/ID", IN_USER] {
        let container = seen(&nothing, cgroup);
        assert_eq!(
            (container.name.clone(), container.title()),
            (None, ID[..12].into())
        );
    }
}

#[test]
fn a_user_cannot_borrow_the_name_of_another_container() {
    // The cgroup is the user's own, and called like one of docker's or of another user.
    let path = "home/bob/.local/share/containers/storage/overlay-containers/containers.json";
    let system = "var/lib/containers/storage/overlay-containers/containers.json";
    let files = root(&[PASSWD, DOCKER, (path, PODMAN), (system, PODMAN)]);
    for kind in ["docker", "libpod"] {
        let cgroup = IN_USER.replace("libpod", kind);
        assert_eq!(seen(&files, &cgroup).name, None, "{cgroup}");
    }
    assert_eq!(
        seen(&files, &IN_USER.replace("1000", "1001"))
            .name
            .as_deref(),
        Some("web"),
        "bob's own"
    );
    let log = format!("var/log/containers/p_n_c-{ID}.log");
    let files = root(&[(&log, "")]);
    let cgroup = "/user.slice/user-1000.slice/user@1000.service/podUID/ID";
    assert_eq!(seen(&files, cgroup).name, None);
}

#[test]
fn files_of_users_lead_nowhere_else_and_nobody_waits_for_them() {
    let place = "home/ann/.local/share/containers/storage/overlay-containers";
    let list = format!("{place}/containers.json");
    let elsewhere = root(&[("list.json", PODMAN)]);
    let files = root(&[PASSWD]);
    let (place, list) = (files.path().join(place), files.path().join(list));
    fs::create_dir_all(&place).unwrap();
    symlink(elsewhere.path().join("list.json"), &list).unwrap();
    assert_eq!(seen(&files, IN_USER).name, None, "a link");
    fs::remove_file(&list).unwrap();
    nix::unistd::mkfifo(&list, Mode::S_IRWXU).unwrap();
    assert_eq!(seen(&files, IN_USER).name, None, "a pipe");
    fs::remove_file(&list).unwrap();
    fs::remove_dir(&place).unwrap();
    fs::write(
        elsewhere.path().join("containers.json"),
        PODMAN.replace("ID", ID),
    )
    .unwrap();
    symlink(elsewhere.path(), &place).unwrap();
    assert_eq!(seen(&files, IN_USER).name, None, "a link on the way");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(&list, PODMAN.replace("ID", ID)).unwrap();
    assert_eq!(seen(&files, IN_USER).name.as_deref(), Some("web"), "a file");
}

#[test]
fn what_files_say_is_bounded() {
    let long = "x".repeat(300);
    let odd = format!("/{long}é");
    let cases = [
        (odd.as_str(), Some(LONGEST)),
        ("/\u{1b}[31m\n\0", Some(6)),
        ("/", None),
    ];
    for (name, length) in cases {
        let json = serde_json::json!({ "Name": name }).to_string();
        let files = root(&[(DOCKER.0, &json)]);
        let name = seen(&files, "/docker/ID").name;
        assert_eq!(name.map(|name| name.len()), length);
    }
    for content in ["", "[]", "{\"Name\":7}", &"[".repeat(100_000), "\0\u{1}"] {
        let files = root(&[(DOCKER.0, content)]);
        assert_eq!(seen(&files, "/docker/ID").name, None);
    }
    // Longer than anything a runtime writes: not read, although it is whole.
    let path = DOCKER.0.replace("ID", ID);
    let files = root(&[DOCKER]);
    assert!(seen(&files, "/docker/ID").name.is_some());
    let mut huge = DOCKER.1.to_owned();
    huge.push_str(&" ".repeat(usize::try_from(LARGEST).unwrap()));
    fs::write(files.path().join(path), huge).unwrap();
    assert_eq!(seen(&files, "/docker/ID").name, None);
}

#[test]
fn a_name_that_appears_later_is_found() {
    let files = root(&[]);
    let mut containers = Containers::below(files.path().into());
    let cgroup = format!("/docker/{ID}");
    assert_eq!(containers.of_cgroup(&cgroup).unwrap().name, None);
    let path = files.path().join(DOCKER.0.replace("ID", ID));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, DOCKER.1).unwrap();
    let found = containers.of_cgroup(&cgroup).unwrap();
    assert_eq!(found.name.as_deref(), Some("web"));
    fs::remove_file(&path).unwrap();
    assert_eq!(containers.of_cgroup(&cgroup), Some(found), "and is kept");
}

#[test]
fn a_container_is_found_by_its_name_or_id() {
    let files = root(&[DOCKER]);
    let mount = tempfile::tempdir().unwrap();
    let web = mount.path().join(format!("system.slice/docker-{ID}.scope"));
    let other = ID.replace('0', "1");
    let unnamed = mount.path().join(format!("docker/{other}"));
    let left = mount.path().join(format!("docker/{}", "e".repeat(64)));
    for directory in [&web.join("below"), &unnamed, &left] {
        fs::create_dir_all(directory).unwrap();
        let populated = u8::from(*directory != left);
        let events = format!("populated {populated}\nfrozen 0\n");
        fs::write(directory.join("cgroup.events"), events).unwrap();
    }
    let find = |name: &str| find_below(files.path(), mount.path(), name);
    assert_eq!(find("web").unwrap(), web);
    assert_eq!(find(&ID[..12]).unwrap(), web);
    assert_eq!(find(&other).unwrap(), unnamed);
    let error = find("wbe").unwrap_err();
    assert_eq!(error.to_string(), "no running container is called \"wbe\"");
    let remedy = error.remedy();
    let [first, second] = [&other[..12], &ID[..12]];
    assert!(
        remedy.contains(&format!("{first} ({first}), web ({second})")),
        "{remedy}"
    );
    // Of two with one name the id has to say which.
    let again = root(&[DOCKER, (&DOCKER.0.replace("ID", &other), DOCKER.1)]);
    let error = find_below(again.path(), mount.path(), "web").unwrap_err();
    assert_eq!(error.to_string(), "2 containers are called \"web\"");
    assert!(error.remedy().contains(&ID[..12]), "{}", error.remedy());
}
