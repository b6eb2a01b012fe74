//! A pod's manifest, for the many pods that differ in a word: one container of the runtime class `wasmedge`. Pods of
//! several containers are told whole by their stories.

use std::fmt;

/// A manifest, printed as YAML. The container has the pod's name.
#[derive(Debug, Clone)]
pub struct PodManifest {
    name: String,
    of_pod: Vec<String>,
    of_container: Vec<String>,
}

impl PodManifest {
    /// A pod of that name and image, which is given one second to end.
    pub fn new(name: &str, image: &str) -> Self {
        let of_pod = ["runtimeClassName: wasmedge", "terminationGracePeriodSeconds: 1"].map(str::to_owned);
        let of_container = [format!("name: {name}"), format!("image: {image:?}")];
        Self { name: name.to_owned(), of_pod: of_pod.into(), of_container: of_container.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With arguments for the image's entrypoint.
    pub fn args(self, words: &[&str]) -> Self {
        self.container(&format!("args: {words:?}"))
    }

    /// Of another runtime class.
    pub fn class(mut self, class: &str) -> Self {
        self.of_pod[0] = format!("runtimeClassName: {class}");
        self
    }

    /// Without a runtime class, on the node that has the runtime.
    pub fn without_class(mut self) -> Self {
        "nodeSelector: {pool: wasm}".clone_into(&mut self.of_pod[0]);
        self
    }

    /// With that many seconds to end.
    pub fn grace(mut self, seconds: u32) -> Self {
        self.of_pod[1] = format!("terminationGracePeriodSeconds: {seconds}");
        self
    }

    /// Not started again.
    pub fn once(self) -> Self {
        self.pod("restartPolicy: Never")
    }

    /// With a field of the pod's, such as `hostUsers: false`.
    pub fn pod(mut self, field: &str) -> Self {
        self.of_pod.push(field.to_owned());
        self
    }

    /// With a field of the container's, such as `tty: true`.
    pub fn container(mut self, field: &str) -> Self {
        self.of_container.push(field.to_owned());
        self
    }
}

impl fmt::Display for PodManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, of_pod, of_container } = self;
        let (of_pod, of_container) = (of_pod.join("\n  "), of_container.join("\n    "));
        writeln!(f, "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}")?;
        writeln!(f, "spec:\n  {of_pod}\n  containers:\n  - {of_container}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_what_a_user_would_write() {
        let pod = PodManifest::new("app", "probe:1").args(&["exit", "3"]).once().container("tty: true");
        let expected = "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  runtimeClassName: wasmedge\n  \
                        terminationGracePeriodSeconds: 1\n  restartPolicy: Never\n  containers:\n  - name: app\n    \
                        image: \"probe:1\"\n    args: [\"exit\", \"3\"]\n    tty: true\n";
        assert_eq!(pod.to_string(), expected);
    }
}
