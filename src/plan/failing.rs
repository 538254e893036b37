//! Windows that failed: is the window at fault, or is the API unreachable?

use chrono::{DateTime, Utc};

use crate::window::Window;

/// Windows that failed as often as they may. They become gaps only if the API answers other requests.
#[derive(Clone, Debug, Default)]
pub struct FailingWindows {
    list: Vec<FailingWindow>,
}

#[derive(Clone, Copy, Debug)]
struct FailingWindow {
    window: Window,
    /// `true` until the API has answered something else: the window is not planned meanwhile.
    quarantined: bool,
    /// `true` if the API has answered something since this window failed.
    api_answered: bool,
    /// `true` if it is part of a longer window that was at fault.
    part: bool,
    /// How often it failed with answers to other requests in between.
    strikes: u8,
}

impl FailingWindows {
    /// Notes that `window` failed. Returns `true` if this confirms that the window is at fault, not the API: it
    /// failed `times` times, and the API answered something else each time in between.
    pub fn failed(&mut self, window: Window, times: u8) -> bool {
        let touches = |failing: &FailingWindow| failing.window.intersect(&window).is_some();
        // An entry that covers only a part of the window says little about the rest.
        let holds = |failing: &FailingWindow| failing.window.intersect(&window) == Some(window);
        let struck = |failing: &FailingWindow| failing.strikes + u8::from(failing.api_answered);
        let known = || self.list.iter().filter(|failing| holds(failing));
        let confirmed = known().any(|failing| failing.api_answered && struck(failing) >= times);
        let strikes = known().map(struck).max().unwrap_or_default();
        let part = self.list.iter().any(|failing| touches(failing) && failing.part);
        self.list.retain(|failing| !touches(failing));
        if !confirmed {
            self.list.push(FailingWindow { window, quarantined: true, api_answered: false, part, strikes });
        }
        confirmed
    }

    /// Returns `true` if `window` is known to fail while others are answered.
    pub fn is_confirmed(&self, window: Window) -> bool {
        self.list
            .iter()
            .any(|failing| failing.api_answered && failing.window.intersect(&window) == Some(window))
    }

    /// Forgets recent failures: the API answers nothing at present, so they were not the fault of any window.
    pub fn excuse(&mut self, window: Window) {
        let others = |failing: &FailingWindow| failing.window.intersect(&window).is_none();
        self.list.retain(|failing| failing.part || !others(failing));
        for failing in self.list.iter_mut().filter(|failing| others(failing)) {
            (failing.quarantined, failing.api_answered, failing.strikes) = (false, false, 0);
        }
    }

    /// Notes a part of a window that is at fault; its next failure counts at once.
    pub fn confirm(&mut self, window: Window) {
        self.list.push(FailingWindow {
            window,
            quarantined: false,
            api_answered: true,
            part: true,
            strikes: 0,
        });
    }

    /// Notes that the API answered something, so quarantined windows may be tried again. Returns `true` if there
    /// were any.
    pub fn api_answered(&mut self) -> bool {
        let released = self.list.iter().any(|failing| failing.quarantined);
        for failing in &mut self.list {
            failing.api_answered = true;
            failing.quarantined = false;
        }
        released
    }

    /// Lets every window be tried again. Returns `true` if one was quarantined.
    pub fn release(&mut self) -> bool {
        let waiting = self.list.iter().any(|failing| failing.quarantined);
        self.list.iter_mut().for_each(|failing| failing.quarantined = false);
        waiting
    }

    /// Notes that `window` was read: it is no longer suspected.
    pub fn read(&mut self, window: Window) {
        let touches = |failing: &mut FailingWindow| failing.window.intersect(&window).is_some();
        let touched: Vec<FailingWindow> = self.list.extract_if(.., touches).collect();
        for failing in touched {
            let older = Window::new(failing.window.from(), window.from());
            let newer = Window::new(window.to(), failing.window.to());
            self.list
                .extend(older.into_iter().chain(newer).map(|window| FailingWindow { window, ..failing }));
        }
    }

    /// Forgets windows that end before `instant`: they are out of reach and no longer requested.
    pub fn forget_before(&mut self, instant: DateTime<Utc>) {
        self.list.retain(|failing| failing.window.to() > instant);
    }

    /// The windows that must not be planned for now.
    pub fn quarantined(&self) -> impl Iterator<Item = Window> {
        self.list.iter().filter(|failing| failing.quarantined).map(|failing| failing.window)
    }

    /// Windows at fault that were narrowed down: each is requested by itself.
    pub fn narrowed(&self) -> impl Iterator<Item = Window> {
        self.list.iter().filter(|failing| failing.api_answered || failing.part).map(|failing| failing.window)
    }
}
