//! Task-level cpu and memory, as numbers or with units.

use super::limits::CPU_UNITS;
use crate::errors::{DefinitionError, EcsError};

/// CPU units of one vCPU.
const UNITS_PER_VCPU: f64 = 1024.0;

/// MiB of what the API calls a GB.
const MIB_PER_GB: f64 = 1024.0;

/// Reads `256`, `1 vCPU` or `.5 vcpu`.
pub(crate) fn cpu_units(given: Option<&str>) -> Result<Option<u32>, EcsError> {
    let Some(given) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let units = quantity(given, "vcpu", UNITS_PER_VCPU).filter(|units| CPU_UNITS.contains(units));
    Ok(Some(units.ok_or(DefinitionError::TaskCpu)?))
}

/// Reads `512`, `2GB` or `0.5 gb`.
pub(crate) fn memory_mib(given: Option<&str>) -> Result<Option<u32>, EcsError> {
    let Some(given) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let mib = quantity(given, "gb", MIB_PER_GB).filter(|mib| *mib > 0);
    Ok(Some(mib.ok_or(DefinitionError::TaskMemory)?))
}

/// A whole number, or a decimal one of a `unit` that is `per_unit` of them.
fn quantity(text: &str, unit: &str, per_unit: f64) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit) else { return text.parse().ok() };
    let number: f64 = number.trim_end().parse().ok()?;
    let whole = (number * per_unit).round();
    (whole.is_finite() && whole >= 0.0 && whole <= f64::from(u32::MAX)).then_some(whole as u32)
}

#[cfg(test)]
mod tests {
    use super::{cpu_units, memory_mib};

    #[test]
    fn units_are_read_in_any_case() {
        for (text, expected) in [
            ("256", Some(256)),
            ("1 vCPU", Some(1024)),
            (".25 vcpu", Some(256)),
            ("2VCPU", Some(2048)),
            ("127", None),
            ("196609", None),
            ("one", None),
            ("1 GB", None),
            ("inf vcpu", None),
            ("-1 vcpu", None),
        ] {
            assert_eq!(cpu_units(Some(text)).ok().flatten(), expected, "{text}");
        }
        for (text, expected) in [
            ("512", Some(512)),
            ("2GB", Some(2048)),
            ("0.5 gb", Some(512)),
            ("0", None),
            ("1 vcpu", None),
            ("-2GB", None),
        ] {
            assert_eq!(memory_mib(Some(text)).ok().flatten(), expected, "{text}");
        }
        assert_eq!((cpu_units(None), memory_mib(Some(""))), (Ok(None), Ok(None)));
    }
}
