//! Runtime options are what the administrator configured for the runtime, in containerd's or Docker's configuration.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{CodedInputStream, Message};
use containerd_shim_protos::shim::oci;
use serde::Deserialize;

use crate::settings::Policy;

/// What CRI and Docker send for a runtime that they don't know: a TOML text, or a file of it.
const GENERIC: &str = "runtimeoptions.v1.Options";
/// What is sent for runc, and by users who took runc's configuration over.
const RUNC: &str = "containerd.runc.v1.Options";

/// The options, each with its default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuntimeOptions {
    /// Whether systemd manages the cgroups. Default: as the container's cgroup path says, see [`crate::bundle`].
    #[serde(rename = "SystemdCgroup")]
    pub(crate) systemd_cgroup: Option<bool>,
    /// Whether each pod gets a daemon of its own. Default: no.
    #[serde(rename = "DaemonPerPod")]
    pub(crate) daemon_per_pod: bool,
    /// The largest module that is loaded, in bytes. Default: 512 MiB.
    #[serde(rename = "ModuleSizeLimit")]
    pub(crate) module_size_limit: u64,
    /// When modules become native code. Default: as the node's settings say.
    #[serde(rename = "Compile")]
    pub(crate) compile: Option<Policy>,
    /// For how many seconds a start waits for the compiler. Default: as the node's settings say.
    #[serde(rename = "CompileWait")]
    pub(crate) compile_wait: Option<u64>,
    /// The user and group whose the streams are to be, where root of the container is not root of the host.
    #[serde(skip)]
    pub(crate) stream_owner: Option<(u32, u32)>,
    // CRI sends the configuration section as it stands, these two included.
    #[serde(rename = "TypeUrl")]
    _type_url: String,
    #[serde(rename = "ConfigPath")]
    _config_path: String,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            systemd_cgroup: None,
            daemon_per_pod: false,
            module_size_limit: 512 << 20,
            compile: None,
            compile_wait: None,
            stream_owner: None,
            _type_url: String::new(),
            _config_path: String::new(),
        }
    }
}

impl RuntimeOptions {
    /// Reads the options that came with a request. Fails for a type that is not known, and for an unknown option.
    pub(crate) fn from_any(any: Option<&Any>) -> Result<Self> {
        let Some(any) = any else { return Ok(Self::default()) };
        // containerd writes the bare name, others put a host before it.
        match any.type_url.rsplit('/').next().unwrap_or_default() {
            "" if any.value.is_empty() => Ok(Self::default()),
            GENERIC => Self::from_generic(&any.value),
            RUNC => {
                let runc =
                    oci::Options::parse_from_bytes(&any.value).context("reading the runtime options")?;
                let stream_owner = Some((runc.io_uid, runc.io_gid)).filter(|owner| *owner != (0, 0));
                // containerd itself makes such options of nothing, to say where a sandbox's task API is, or whose the
                // streams are of a container with mapped users.
                let is_said =
                    runc.systemd_cgroup || (runc.task_api_address.is_empty() && stream_owner.is_none());
                let systemd_cgroup = is_said.then_some(runc.systemd_cgroup);
                Ok(Self { systemd_cgroup, stream_owner, ..Self::default() })
            }
            _ => bail!(
                "runtime options of type {:?} are not supported; supported are {GENERIC} and {RUNC}",
                any.type_url
            ),
        }
    }

    fn from_generic(value: &[u8]) -> Result<Self> {
        let generic = Generic::decode(value).context("reading the runtime options")?;
        if !["", GENERIC].contains(&generic.type_url.as_str()) {
            bail!("runtime options of type {:?} are not supported; supported is {GENERIC}", generic.type_url);
        }
        if !generic.config_body.is_empty() {
            let text = std::str::from_utf8(&generic.config_body).context("reading the runtime options")?;
            return parse(text).context("reading the runtime options");
        }
        if generic.config_path.is_empty() {
            return Ok(Self::default());
        }
        let path = &generic.config_path;
        let text =
            fs::read_to_string(path).with_context(|| format!("reading the runtime options in {path}"))?;
        parse(&text).with_context(|| format!("reading the runtime options in {path}"))
    }
}

/// An error is one line, since clients print it in the midst of others'.
fn parse(text: &str) -> Result<RuntimeOptions> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        anyhow!("{line}{}", error.message())
    })
}

/// containerd's `api/types/runtimeoptions/v1`, which no published crate carries.
#[derive(Debug, Default)]
struct Generic {
    type_url: String,
    config_path: String,
    config_body: Vec<u8>,
}

impl Generic {
    fn decode(value: &[u8]) -> Result<Self> {
        const TYPE_URL: u32 = 1 << 3 | 2;
        const CONFIG_PATH: u32 = 2 << 3 | 2;
        const CONFIG_BODY: u32 = 3 << 3 | 2;
        let mut options = Self::default();
        let mut stream = CodedInputStream::from_bytes(value);
        while let Some(tag) = stream.read_raw_tag_or_eof()? {
            match tag {
                TYPE_URL => options.type_url = stream.read_string()?,
                CONFIG_PATH => options.config_path = stream.read_string()?,
                CONFIG_BODY => options.config_body = stream.read_bytes()?,
                other => {
                    let wire = containerd_shim_protos::protobuf::rt::WireType::new(other & 7)
                        .context("a field of unknown type")?;
                    stream.skip_field(wire)?;
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(path: &str, body: &str) -> Any {
        let mut value = Vec::new();
        for (field, text) in [(1u8, "runtimeoptions.v1.Options"), (2, path), (3, body)] {
            value.extend([field << 3 | 2, u8::try_from(text.len()).unwrap()]);
            value.extend(text.as_bytes());
        }
        Any { type_url: GENERIC.into(), value, ..Default::default() }
    }

    #[test]
    fn no_options_are_the_defaults() {
        assert_eq!(RuntimeOptions::from_any(None).unwrap(), RuntimeOptions::default());
        assert_eq!(RuntimeOptions::from_any(Some(&Any::new())).unwrap(), RuntimeOptions::default());
        assert_eq!(RuntimeOptions::from_any(Some(&generic("", ""))).unwrap().module_size_limit, 536_870_912);
    }

    #[test]
    fn a_configuration_section_is_read_as_cri_sends_it() {
        let any =
            generic("", "TypeUrl = 'x'\nSystemdCgroup = true\nModuleSizeLimit = 1000\nCompile = 'off'\n");
        let options = RuntimeOptions::from_any(Some(&any)).unwrap();
        assert_eq!((options.systemd_cgroup, options.daemon_per_pod), (Some(true), false));
        assert_eq!(options.module_size_limit, 1000);
        assert_eq!((options.compile, options.compile_wait), (Some(Policy::Off), None));
    }

    #[test]
    fn a_configuration_file_is_read_and_named_if_it_is_missing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "DaemonPerPod = true").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert!(RuntimeOptions::from_any(Some(&generic(&path, ""))).unwrap().daemon_per_pod);
        drop(file);
        let error = format!("{:#}", RuntimeOptions::from_any(Some(&generic(&path, ""))).unwrap_err());
        assert!(error.contains(&path), "{error}");
    }

    #[test]
    fn runcs_options_are_understood() {
        let runc = oci::Options { systemd_cgroup: true, binary_name: "crun".into(), ..Default::default() };
        let any = Any { type_url: RUNC.into(), value: runc.write_to_bytes().unwrap(), ..Default::default() };
        assert_eq!(RuntimeOptions::from_any(Some(&any)).unwrap().systemd_cgroup, Some(true));
        let prefixed = Any { type_url: format!("type.googleapis.com/{RUNC}"), ..any };
        assert_eq!(RuntimeOptions::from_any(Some(&prefixed)).unwrap().systemd_cgroup, Some(true));
    }

    #[test]
    fn options_that_only_carry_a_sandboxs_address_say_nothing() {
        let carrier = oci::Options { task_api_address: "ttrpc+unix:///s".into(), ..Default::default() };
        let any =
            Any { type_url: RUNC.into(), value: carrier.write_to_bytes().unwrap(), ..Default::default() };
        assert_eq!(RuntimeOptions::from_any(Some(&any)).unwrap(), RuntimeOptions::default());
    }

    #[test]
    fn options_that_only_say_whose_the_streams_are_say_nothing_of_cgroups() {
        let owner = oci::Options { io_uid: 100_000, io_gid: 100_001, ..Default::default() };
        let any = Any { type_url: RUNC.into(), value: owner.write_to_bytes().unwrap(), ..Default::default() };
        let expected = RuntimeOptions { stream_owner: Some((100_000, 100_001)), ..RuntimeOptions::default() };
        assert_eq!(RuntimeOptions::from_any(Some(&any)).unwrap(), expected);
    }

    #[test]
    fn options_that_say_that_they_are_anothers_are_refused() {
        let value = [&[1u8 << 3 | 2, 6][..], b"others"].concat();
        let any = Any { type_url: GENERIC.into(), value, ..Default::default() };
        assert!(RuntimeOptions::from_any(Some(&any)).unwrap_err().to_string().contains("others"));
    }

    #[test]
    fn an_unknown_type_or_option_is_named() {
        let any = Any { type_url: "io.example.Options".into(), ..Default::default() };
        assert!(RuntimeOptions::from_any(Some(&any)).unwrap_err().to_string().contains("io.example.Options"));
        let error =
            format!("{:#}", RuntimeOptions::from_any(Some(&generic("", "Systemd = true"))).unwrap_err());
        assert!(error.contains("unknown field `Systemd`"), "{error}");
    }
}
