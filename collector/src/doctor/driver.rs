//! NVIDIA's driver, as this process and the trial find it.

use super::{
    Check,
    trial::{Answer, Told},
};
use crate::{
    nvml::Gpus,
    present::text::{bytes, count},
};

/// What NVML says.
pub fn nvml() -> Check {
    const NAME: &str = "nvml";
    match Gpus::open() {
        Ok(gpus) => {
            let reading = gpus.reading();
            let version = gpus.driver_version().map(|version| format!("driver {version}, "));
            let cards: Vec<String> = reading
                .gpus
                .iter()
                .map(|gpu| {
                    format!("{} with {}, {} in use", gpu.name, bytes(gpu.total), bytes(gpu.used))
                })
                .collect();
            let number = count(reading.gpus.len() as u64, "GPU");
            let cards =
                if cards.is_empty() { String::new() } else { format!(": {}", cards.join("; ")) };
            Check::ok(NAME, format!("{}{number}{cards}", version.unwrap_or_default()))
        }
        Err(sentence) => Check::warning(
            NAME,
            sentence,
            "in a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility; without NVML the report \
             cannot tell which share it explains",
        ),
    }
}

/// What the trial says of the driver's library.
pub fn checks(told: &Told) -> Option<Check> {
    const NAME: &str = "driver";
    Some(match told.driver.as_ref()? {
        Ok(driver) => {
            let version = match driver.version {
                Some(version) => format!(", CUDA {}.{}", version / 1000, version % 1000 / 10),
                None => String::new(),
            };
            Check::ok(NAME, format!("{}{version}", driver.path.display()))
        }
        Err(sentence) => Check::fails(
            NAME,
            format!("libcuda.so.1 cannot be loaded: {sentence}"),
            "install NVIDIA's driver; in a container start it with --gpus all, which brings the host's",
        ),
    })
}

/// What the trial allocation says.
pub fn trial(told: &Told) -> Option<Check> {
    const NAME: &str = "trial";
    if let Some(trouble) = &told.trouble {
        return Some(Check::fails(NAME, trouble, "please report this, with the lines above"));
    }
    Some(match told.answer.as_ref()? {
        Answer::Refused { call, status } => Check::fails(
            NAME,
            match status {
                Some(status) => format!("{call} answers {status}"),
                None => format!("this driver has no {call}"),
            },
            advice(*status),
        ),
        Answer::ReadBack { bytes: size, profile, by_name } if *by_name == 0 => Check::ok(
            NAME,
            format!("{} taken and given back; the ledger ({profile}) has both", bytes(*size)),
        ),
        Answer::ReadBack { by_name, .. } => Check::warning(
            NAME,
            format!(
                "the ledger is right; {} gave functions that are known by name only, or not at all",
                count(*by_name, "look-up")
            ),
            "compare the report's totals with nvidia-smi, and tell us the driver's version",
        ),
        Answer::NotRecorded(why) => Check::fails(NAME, why, "the lines above say what to do"),
    })
}

fn advice(status: Option<i32>) -> &'static str {
    match status {
        Some(2) => {
            "the GPU, or a quota on it, has no memory left for one more context: look who holds it"
        }
        Some(34) => "this is the toolkit's stub: take its folder out of LD_LIBRARY_PATH",
        Some(46 | 101) => {
            "the GPU is taken or not visible: look at CUDA_VISIBLE_DEVICES, and at the compute mode"
        }
        Some(100) => {
            "there is no GPU for this process: look at nvidia-smi, CUDA_VISIBLE_DEVICES and, in a \
             container, at --gpus"
        }
        Some(802) => "the machine is still starting: is nvidia-fabricmanager running?",
        Some(803 | 804) => {
            "libcuda.so.1 and the kernel's driver are of different versions: reboot, or \
                            take the compat folder out of LD_LIBRARY_PATH"
        }
        _ => {
            "CUDA does not work here without memtrace either: ask nvidia-smi, then the system's log"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    #[test]
    fn a_refused_call_is_told_with_its_number_and_what_to_do() {
        let answer = Some(Answer::Refused { call: "cuInit".into(), status: Some(100) });
        let check = trial(&Told { answer, ..Told::default() }).unwrap();
        assert_eq!((check.mark, check.says.as_str()), (Mark::Fails, "cuInit answers 100"));
        assert!(check.advice.unwrap().contains("CUDA_VISIBLE_DEVICES"));
    }

    #[test]
    fn names_recognised_by_name_only_are_told() {
        let answer = |by_name| Some(Answer::ReadBack { bytes: 4, profile: "full".into(), by_name });
        let mark =
            |by_name| trial(&Told { answer: answer(by_name), ..Told::default() }).unwrap().mark;
        assert_eq!((mark(0), mark(2)), (Mark::Ok, Mark::Warning));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_tried() {
        assert_eq!((checks(&Told::default()), trial(&Told::default())), (None, None));
    }
}
