//! Lists of cores: `0-1`, `0,2`, as the kernel writes them (cpuset(7), "List format").
//!
//! ```text
//! list  = range *("," range)
//! range = number ["-" number]
//! ```

/// One core's number at most: the kernel's own bound (CONFIG_NR_CPUS) is 8,192.
const CPU_MAX: usize = 8191;

/// The cores of a list, ascending, each once; the error says what a list looks like.
pub fn parse(text: &str) -> Result<Vec<usize>, String> {
    let mut cpus = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|&cpu: &usize| digits && cpu <= CPU_MAX)
        };
        match (number(first.trim()), number(last.trim())) {
            (Some(first), Some(last)) if first <= last => cpus.extend(first..=last),
            _ => return Err("a list of cores like \"0-1\" or \"0,2\"".to_string()),
        }
        // Ranges may overlap: the list stays as short as the machine is.
        cpus.sort_unstable();
        cpus.dedup();
    }
    Ok(cpus)
}

/// The shortest list of ascending cores.
pub fn text(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// Whether all of `cpus` are among `allowed` and there is one; the error says what was expected.
pub fn check(cpus: &[usize], allowed: &[usize]) -> Result<(), String> {
    if !cpus.is_empty() && cpus.iter().all(|cpu| allowed.contains(cpu)) {
        return Ok(());
    }
    Err(format!("cores that this process may use ({})", text(allowed)))
}

/// The cores that this process may use, by its affinity and cpuset.
pub fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| parse(list.trim()).ok()).unwrap_or_else(|| {
        // No /proc: as many as the system admits to, from 0 on.
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_and_write() {
        for (list, cpus, shortest) in [
            ("0", vec![0], "0"),
            ("0-1", vec![0, 1], "0-1"),
            ("0,2", vec![0, 2], "0,2"),
            ("3,0-1,1-2", vec![0, 1, 2, 3], "0-3"),
            (" 0 - 1 , 5 ", vec![0, 1, 5], "0-1,5"),
        ] {
            assert_eq!(parse(list), Ok(cpus.clone()), "{list}");
            assert_eq!(text(&cpus), shortest);
        }
        for list in ["", ",", "1-", "-1", "2-1", "a", "+1", "0-9999999", "99999999999999999999", "0;1"] {
            assert!(parse(list).is_err(), "{list:?}");
        }
        assert!(parse(&"0-8191,".repeat(1000)).is_err());
    }

    #[test]
    fn this_process_may_use_a_core() {
        let allowed = allowed();
        assert!(!allowed.is_empty());
        assert!(check(&allowed, &allowed).is_ok());
        assert!(check(&[CPU_MAX], &[0, 1]).is_err() && check(&[], &[0]).is_err());
    }
}
