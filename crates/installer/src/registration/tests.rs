use super::*;

fn registration() -> Registration {
    Registration {
        handler: "wasmedge".to_owned(),
        shim: "/opt/w/current/bin/containerd-shim-wasmedge-v1".into(),
        sandboxer: Sandboxer::default(),
        options: vec![("Compile".to_owned(), "off".into())],
    }
}

/// As kubeadm's users have it: `containerd config default`, changed by hand.
const KUBEADM_3: &str = r#"version = 3
root = '/var/lib/containerd'   # here

[plugins]
  [plugins.'io.containerd.cri.v1.runtime']
    enable_cdi = true

    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'runc'

      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes]
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
          runtime_type = 'io.containerd.runc.v2'

          [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
            SystemdCgroup = true

  [plugins.'io.containerd.gc.v1.scheduler']
    pause_threshold = 0.02
"#;

#[test]
fn a_table_is_inserted_and_all_else_stays() {
    let new = registration().insert_into(KUBEADM_3, Runtimes::OurOnly).unwrap();
    let added: Vec<_> = new.lines().filter(|line| !KUBEADM_3.contains(line)).collect();
    assert_eq!(
        added,
        [
            MARK,
            "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wasmedge]",
            "runtime_type = \"io.containerd.wasmedge.v1\"",
            "runtime_path = \"/opt/w/current/bin/containerd-shim-wasmedge-v1\"",
            "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wasmedge.options]",
            "Compile = \"off\"",
        ]
    );
    let kept: Vec<_> = new.lines().filter(|line| KUBEADM_3.contains(line) && !line.is_empty()).collect();
    assert_eq!(kept, KUBEADM_3.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
}

#[test]
fn inserting_twice_is_inserting_once_and_removing_gives_the_first_text() {
    for text in
        [KUBEADM_3, "version = 2\n", "", "version = 4\n", "version = 3\nimports = ['/etc/x/*.toml']\n"]
    {
        let once = registration().insert_into(text, Runtimes::WithRunc).unwrap();
        assert_eq!(registration().insert_into(&once, Runtimes::WithRunc).unwrap(), once);
        assert_eq!(registration().remove_from(&once).unwrap(), text);
    }
}

#[test]
fn the_runtimes_of_version_4_are_where_those_of_version_3_are() {
    let new = registration().insert_into("version = 4\n", Runtimes::OurOnly).unwrap();
    assert!(new.contains("[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.wasmedge]"), "{new}");
    let unknown = registration().insert_into("version = 5\n", Runtimes::OurOnly).unwrap_err();
    assert_eq!(unknown.to_string(), "the configuration is of version 5; 1 to 4 are known");
}

#[test]
fn other_options_replace_those_that_were_there() {
    let old = registration().insert_into(KUBEADM_3, Runtimes::OurOnly).unwrap();
    let other = Registration { options: Vec::new(), ..registration() };
    let new = other.insert_into(&old, Runtimes::OurOnly).unwrap();
    assert!(!new.contains("Compile"), "{new}");
    assert_eq!(registration().remove_from(&new).unwrap(), KUBEADM_3);
}

#[test]
fn containerd_1_keeps_its_runc_where_it_was_only_the_default() {
    let bare = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  enable_selinux = false\n";
    let new = registration().insert_into(bare, Runtimes::WithRunc).unwrap();
    assert!(new.contains("[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]"), "{new}");
    assert!(new.contains("runtime_type = \"io.containerd.runc.v2\""), "{new}");
    assert_eq!(registration().remove_from(&new).unwrap(), bare);
    let without = registration().insert_into(bare, Runtimes::OurOnly).unwrap();
    assert!(!without.contains("runc.v2"), "{without}");
}

#[test]
fn a_runtimes_table_of_the_nodes_own_is_not_given_runc() {
    let text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.crun]\nruntime_type = 'io.containerd.runc.v2'\n";
    assert!(!registration().insert_into(text, Runtimes::WithRunc).unwrap().contains("runtimes.runc]"));
}

#[test]
fn inline_tables_are_extended_where_they_are() {
    let text = "version = 3\nplugins = { 'io.containerd.cri.v1.runtime' = { containerd = { runtimes = { runc = { runtime_type = 'io.containerd.runc.v2' } } } } }\n";
    let new = registration().insert_into(text, Runtimes::OurOnly).unwrap();
    let document = parse(&new).unwrap();
    let runtimes = runtimes_of(&document, ConfigVersion::Three).unwrap();
    assert!(runtimes.contains_key("runc") && runtimes.contains_key("wasmedge"), "{new}");
}

#[test]
fn another_shims_handler_of_the_same_name_is_refused() {
    let text = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wasmedge]\nruntime_type = 'io.containerd.wasmedge.v1'\n";
    let error = registration().insert_into(text, Runtimes::OurOnly).unwrap_err().to_string();
    assert!(
        error.contains("already has a runtime handler wasmedge (of io.containerd.wasmedge.v1)"),
        "{error}"
    );
    assert_eq!(registration().remove_from(text).unwrap(), text);
}

#[test]
fn a_configuration_without_cri_is_refused() {
    let text = "disabled_plugins = [\"cri\"]\nversion = 2\n";
    let error = registration().insert_into(text, Runtimes::OurOnly).unwrap_err().to_string();
    assert!(error.contains("disabled_plugins"), "{error}");
}

#[test]
fn a_broken_configuration_is_refused_with_the_line() {
    let error = registration().insert_into("version = 2\n[plugins\n", Runtimes::OurOnly).unwrap_err();
    assert!(format!("{error:#}").contains("line 2"), "{error:#}");
}

#[test]
fn a_file_of_its_own_has_the_version_that_it_is_for() {
    assert_eq!(
        registration().as_file(ConfigVersion::Three, Runtimes::OurOnly),
        format!(
            "{MARK}\nversion = 3\n\n\
             [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.wasmedge]\n\
             runtime_type = \"io.containerd.wasmedge.v1\"\n\
             runtime_path = \"/opt/w/current/bin/containerd-shim-wasmedge-v1\"\n\n\
             [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.wasmedge.options]\n\
             Compile = \"off\"\n"
        )
    );
}
