//! Samples and what is said of them.

/// Times in milliseconds, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The nearest-rank percentile: the smallest sample that `percent` of all samples do not exceed.
    /// 0 without samples.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub fn lowest(&self) -> f64 {
        self.percentile(0)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        fn check(samples: &[f64], percent: usize, expect: f64) {
            let samples: Samples = samples.iter().copied().collect();
            assert_eq!(samples.percentile(percent), expect, "{percent} of {samples:?}");
        }
        check(&[], 50, 0.0);
        check(&[7.0], 0, 7.0);
        check(&[7.0], 99, 7.0);
        check(&[3.0, 1.0, 2.0], 50, 2.0);
        check(&[4.0, 3.0, 1.0, 2.0], 50, 2.0);
        check(&[4.0, 3.0, 1.0, 2.0], 90, 4.0);
        check(&(1..=50).map(f64::from).collect::<Vec<_>>(), 90, 45.0);
        check(&(1..=200).map(f64::from).collect::<Vec<_>>(), 99, 198.0);
    }
}
