//! Promises about CPUs, limits, and drivers that a sandbox forbids.

use shardcast_platform::{pin_current_thread, raise_descriptor_limit};

#[test]
fn a_cpu_that_does_not_exist_is_refused() {
    for cpu in [100_000, usize::MAX] {
        assert!(pin_current_thread(cpu).is_err());
    }
}

#[test]
fn the_descriptor_limit_is_raised_and_stays() {
    let limit = raise_descriptor_limit().expect("the limit is known");
    assert!(limit >= 256, "only {limit}");
    assert_eq!(raise_descriptor_limit().expect("the limit is known"), limit);
    #[cfg(target_os = "linux")]
    {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux says them");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .expect("a line");
        let soft = line.split_whitespace().nth(3).expect("the soft limit");
        assert_eq!(soft, limit.to_string());
    }
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_pinned_thread_stays_on_its_cpu() {
    for cpu in shardcast_platform::cpu_budget().cpus {
        let seen = std::thread::spawn(move || {
            pin_current_thread(cpu).expect("it is ours");
            // On Linux the affinity is the thread's; on Windows the process's.
            if cfg!(target_os = "linux") {
                shardcast_platform::cpu_budget().cpus
            } else {
                vec![cpu]
            }
        });
        assert_eq!(seen.join().expect("it ran"), [cpu]);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::thread;

    use shardcast_platform::{Driver, DriverRequest, block_on, choose_driver};

    #[test]
    fn epoll_can_always_be_asked_for() {
        let choice = choose_driver(DriverRequest::Epoll).expect("Linux has it");
        assert_eq!(choice.driver, Driver::Epoll);
        assert_eq!(block_on(choice.driver, async { 1 }).expect("it starts"), 1);
    }

    #[test]
    fn where_io_uring_is_forbidden_epoll_is_chosen_and_the_reason_said() {
        let forbidden = thread::spawn(|| {
            forbid_io_uring();
            let auto = choose_driver(DriverRequest::Auto).expect("auto never fails");
            assert_eq!(auto.driver, Driver::Epoll);
            assert_eq!(auto.reason, "io_uring is forbidden here (EPERM), so epoll");
            assert_eq!(block_on(auto.driver, async { 1 }).expect("it starts"), 1);
            let error =
                choose_driver(DriverRequest::IoUring).expect_err("it was asked for by name");
            assert_eq!(
                error.to_string(),
                "the driver io_uring does not work here: io_uring is forbidden here (EPERM)"
            );
            assert!(block_on(Driver::IoUring, async {}).is_err());
            glommio_is_refused();
        });
        forbidden.join().expect("it fell back");
    }

    /// By an error, though glommio itself would end the process.
    #[cfg(feature = "glommio")]
    fn glommio_is_refused() {
        let error = choose_driver(DriverRequest::Glommio).expect_err("it needs io_uring");
        assert_eq!(
            error.to_string(),
            "the driver glommio does not work here: io_uring is forbidden here (EPERM)"
        );
        assert!(block_on(Driver::Glommio, async {}).is_err());
    }

    #[cfg(not(feature = "glommio"))]
    fn glommio_is_refused() {
        let error = choose_driver(DriverRequest::Glommio).expect_err("it is not built in");
        assert!(error.to_string().contains("not built in"));
    }

    /// Does to this thread what container engines do to a process.
    fn forbid_io_uring() {
        let load_number = libc::sock_filter {
            code: 0x20,
            jt: 0,
            jf: 0,
            k: 0,
        };
        let is_setup = libc::sock_filter {
            code: 0x15,
            jt: 0,
            jf: 1,
            k: libc::SYS_io_uring_setup as u32,
        };
        let refuse = libc::sock_filter {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        };
        let allow = libc::sock_filter {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ALLOW,
        };
        let mut program = [load_number, is_setup, refuse, allow];
        let filter = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: both calls take plain numbers and a filter program that outlives them.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let filter = &raw const filter;
            assert_eq!(
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, filter),
                0
            );
        }
    }
}
