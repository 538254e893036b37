//! A small random generator, implemented here so that the same seed gives the same world on every machine and in
//! every version.

/// SplitMix64 (Steele, Lea, Flood 2014): enough for an invented world, and only integer arithmetic.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator whose numbers depend on the parts alone.
    pub(crate) fn of(parts: &[u64]) -> Self {
        let mut random = Random(0x5EED_CA11_0000_0001);
        for part in parts {
            random.0 ^= part.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
            random.0 = random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `[low, high]`; `low` if that range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.next() % width).unwrap_or(0))
    }

    /// Returns `true` in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of `choices`, all equally likely; the default value if the list is empty.
    pub(crate) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let last = i64::try_from(choices.len()).unwrap_or(1) - 1;
        let index = usize::try_from(self.between(0, last)).unwrap_or(0);
        choices.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn weighted<T: Copy + Default>(&mut self, choices: &[(u32, T)]) -> T {
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.between(0, i64::from(total) - 1);
        for (weight, choice) in choices {
            left -= i64::from(*weight);
            if left < 0 {
                return *choice;
            }
        }
        T::default()
    }

    /// How many events happen if `mean` are expected (close to Poisson, without `exp`).
    pub(crate) fn count(&mut self, mean: f64) -> usize {
        if mean > 30.0 {
            let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
            return (mean + normal * mean.sqrt() + 0.5).max(0.0) as usize;
        }
        let trials = 4 * mean.ceil() as usize + 8;
        (0..trials).filter(|_| self.chance(mean / trials as f64)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_numbers_for_ever() {
        assert_eq!(Random::of(&[7, 11]).next(), Random::of(&[7, 11]).next());
        assert_ne!(Random::of(&[7, 11]).next(), Random::of(&[11, 7]).next());
        // A change of the generator would change every world whose seed somebody has written down.
        let mut splitmix = Random(0);
        assert_eq!(splitmix.next(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn counts_average_to_the_mean_both_for_few_and_for_many() {
        for mean in [0.3, 5.0, 400.0] {
            let mut random = Random::of(&[1]);
            let total: usize = (0..4000).map(|_| random.count(mean)).sum();
            let average = total as f64 / 4000.0;
            assert!((average - mean).abs() < 0.05 * mean, "{mean} → {average}");
        }
    }
}
