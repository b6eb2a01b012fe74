//! The features of the processor that native code may use. Code for one processor is not for another.

/// The architecture and the known features that this processor has, sorted; as `x86_64+aes+avx+…`.
pub fn cpu_features() -> String {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "other features are not looked for"))]
    let mut features = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    features.extend(x86());
    features[1..].sort_unstable();
    features.join("+")
}

#[cfg(target_arch = "x86_64")]
fn x86() -> Vec<&'static str> {
    macro_rules! detected {
        ($($feature:tt)*) => {
            [$(($feature, std::is_x86_feature_detected!($feature))),*]
        };
    }
    let all = detected!(
        "adx" "aes" "avx" "avx2" "avx512bf16" "avx512bitalg" "avx512bw" "avx512cd" "avx512dq" "avx512f"
        "avx512fp16" "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vl" "avx512vnni" "avx512vp2intersect"
        "avx512vpopcntdq" "avxifma" "avxneconvert" "avxvnni" "avxvnniint16" "avxvnniint8" "bmi1" "bmi2"
        "cmpxchg16b" "f16c" "fma" "fxsr" "gfni" "kl" "lzcnt" "movbe" "pclmulqdq" "popcnt" "rdrand" "rdseed"
        "rtm" "sha" "sha512" "sm3" "sm4" "sse" "sse2" "sse3" "sse4.1" "sse4.2" "sse4a" "ssse3" "tbm" "vaes"
        "vpclmulqdq" "widekl" "xsave" "xsavec" "xsaveopt" "xsaves"
    );
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_its_architecture_and_always_the_same_features() {
        assert!(cpu_features().starts_with(std::env::consts::ARCH));
        assert_eq!(cpu_features(), cpu_features());
    }
}
