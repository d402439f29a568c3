//! Polls what seldom has anything to say only after it woke the task.
//!
//! A connection's task wakes up for each request. Asking its timer and the stop signal each time, too, costs as much as reading
//! the claims of a ticket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Tells who polls with its waker whether anything woke it.
pub(super) struct Gate {
    woken: Arc<Woken>,
    /// That of `woken`.
    waker: Waker,
    /// The task's, as `woken` has it.
    task: Waker,
}

struct Woken {
    is_due: AtomicBool,
    /// Kept when it is woken: a waker that is used up would have to be put back after each wake, and no wake may come before that.
    task: Mutex<Waker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First: the task may run at once.
        self.is_due.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl Gate {
    /// Due, since nothing was polled yet.
    pub(super) fn new() -> Self {
        let task = || Waker::noop().clone();
        let woken = Arc::new(Woken { is_due: AtomicBool::new(true), task: Mutex::new(task()) });
        Self { waker: Arc::clone(&woken).into(), woken, task: task() }
    }

    /// What to poll with if there was a wake since the last time; whatever waits behind the gate must then be polled, all of it.
    pub(super) fn due(&mut self, task: &Context<'_>) -> Option<Context<'_>> {
        if !self.task.will_wake(task.waker()) {
            self.task.clone_from(task.waker());
            self.woken.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(task.waker());
        }
        let is_due = self.woken.is_due.load(Ordering::Relaxed) && self.woken.is_due.swap(false, Ordering::Acquire);
        is_due.then(|| Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use futures_util::future::poll_fn;
    use tokio::sync::mpsc;

    use super::*;

    /// Counts how often its task would run.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_wake_opens_it_once_and_wakes_the_task_that_polled_last() {
        let [first, second] = [(); 2].map(|()| Arc::new(Task::default()));
        let wakes = |task: &Task| task.0.load(Ordering::Relaxed);
        let mut gate = Gate::new();
        let poll = |gate: &mut Gate, task: &Arc<Task>| {
            let waker = Arc::clone(task).into();
            gate.due(&Context::from_waker(&waker)).map(|behind| behind.waker().clone())
        };
        let behind = poll(&mut gate, &first).expect("due from the start");
        assert!(poll(&mut gate, &first).is_none());
        for count in 1..4 {
            behind.wake_by_ref();
            assert_eq!(wakes(&first), count);
            assert!(poll(&mut gate, &first).is_some());
            assert!(poll(&mut gate, &first).is_none());
        }
        // A future may move to another task between two polls.
        assert!(poll(&mut gate, &second).is_none());
        behind.wake_by_ref();
        assert_eq!((wakes(&first), wakes(&second)), (3, 1));
        assert!(poll(&mut gate, &second).is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost_between_threads() {
        const COUNT: usize = 100_000;
        let (sender, mut receiver) = mpsc::channel(1);
        let (noise, mut heard) = mpsc::channel(1);
        // The task is also woken by what is not behind the gate, at any moment.
        thread::spawn(move || while noise.blocking_send(()).is_ok() {});
        thread::spawn(move || (0..COUNT).for_each(|number| sender.blocking_send(number).unwrap()));
        let (mut gate, mut seen) = (Gate::new(), 0);
        let mut all = pin!(poll_fn(|task| {
            while heard.poll_recv(task).is_ready() {}
            let Some(mut behind) = gate.due(task) else { return std::task::Poll::Pending };
            loop {
                match receiver.poll_recv(&mut behind) {
                    std::task::Poll::Ready(Some(number)) => {
                        assert_eq!(number, seen);
                        seen += 1;
                    }
                    std::task::Poll::Ready(None) => return std::task::Poll::Ready(()),
                    std::task::Poll::Pending => return std::task::Poll::Pending,
                }
            }
        }));
        all.as_mut().await;
        assert_eq!(seen, COUNT);
    }
}
