//! Chance from a seed: the same numbers on every machine, and the distributions that loads are made of.
//!
//! SplitMix64 (Steele, Lea and Flood 2014) is enough for loads and test mail, and for nothing that must be secret.

use std::time::Duration;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// One of `from`, which is not empty.
    pub fn one_of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// True in `percent` of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From 0, below 1, uniformly.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Exponential with this mean: the gaps of a Poisson process.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// Standard normal, close enough for sizes: the sum of twelve, which every machine adds alike.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.below(1 << 20) as f64 / f64::from(1 << 20)).sum::<f64>() - 6.0
    }
}

/// Ranks by Zipf's law: rank r (from 0) with a weight of 1/(r + 1)^s.
#[derive(Debug, Clone)]
pub struct Zipf {
    /// The sum of the weights up to and with each rank. 8 octets each.
    sums: Vec<f64>,
}

impl Zipf {
    /// `count` ranks with exponent `s`; 0 makes all alike.
    pub fn new(count: u32, s: f64) -> Zipf {
        let mut sum = 0.0;
        let weigh = |rank: u32| {
            sum += f64::from(rank).powf(-s);
            sum
        };
        Zipf { sums: (1..=count.max(1)).map(weigh).collect() }
    }

    /// A rank.
    pub fn draw(&self, random: &mut Random) -> u32 {
        let at = random.unit() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_gaps_have_their_mean_and_spread() {
        let mut random = Random::new(7);
        let gaps: Vec<f64> = (0..100_000).map(|_| random.exponential(Duration::from_secs(2)).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((1.97..2.03).contains(&mean) && (3.8..4.2).contains(&variance), "{mean} {variance}");
    }

    #[test]
    fn zipf_prefers_the_first() {
        let (zipf, mut random) = (Zipf::new(100, 1.0), Random::new(1));
        let mut drawn = [0u32; 100];
        for _ in 0..100_000 {
            drawn[zipf.draw(&mut random) as usize] += 1;
        }
        // The weights' sum is 5.187: rank 1 has 19.3 %, rank 10 a tenth of that.
        assert!((18_700..19_900).contains(&drawn[0]) && (1_750..2_100).contains(&drawn[9]), "{drawn:?}");
        assert!(drawn.iter().all(|count| *count > 100));
        let (even, mut most) = (Zipf::new(3, 0.0), [0u32; 3]);
        (0..3000).for_each(|_| most[even.draw(&mut random) as usize] += 1);
        assert!(most.iter().all(|count| *count > 900), "{most:?}");
    }
}
