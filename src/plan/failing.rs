//! Windows that failed: is it the window, or is the API away?

use chrono::{DateTime, Utc};

use crate::window::Window;

/// Windows that failed as often as they may. They become gaps only if the API answers other questions.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    list: Vec<Suspect>,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    window: Window,
    /// Not planned until the API has answered something else.
    set_aside: bool,
    /// The API has answered something since this window failed.
    api_answered: bool,
    /// It is part of a longer one that was at fault.
    part: bool,
    /// How often it failed between answers to other questions.
    strikes: u8,
}

impl Suspects {
    /// Notes that `window` failed; returns `true` if it is confirmed that the window is at fault, not the API: it failed
    /// `times` since something else was answered, which was answered again each time in between.
    pub fn failed(&mut self, window: Window, times: u8) -> bool {
        let touches = |suspect: &Suspect| suspect.window.intersect(&window).is_some();
        // One that holds but a part of it says little of the rest.
        let holds = |suspect: &Suspect| suspect.window.intersect(&window) == Some(window);
        let struck = |suspect: &Suspect| suspect.strikes + u8::from(suspect.api_answered);
        let known = || self.list.iter().filter(|suspect| holds(suspect));
        let confirmed = known().any(|suspect| suspect.api_answered && struck(suspect) >= times);
        let strikes = known().map(struck).max().unwrap_or_default();
        let part = self.list.iter().any(|suspect| touches(suspect) && suspect.part);
        self.list.retain(|suspect| !touches(suspect));
        if !confirmed {
            self.list.push(Suspect { window, set_aside: true, api_answered: false, part, strikes });
        }
        confirmed
    }

    /// Returns `true` if `window` is known to fail while others are answered.
    pub fn is_confirmed(&self, window: Window) -> bool {
        self.list
            .iter()
            .any(|suspect| suspect.api_answered && suspect.window.intersect(&window) == Some(window))
    }

    /// Nothing is answered at present, `window` neither: what failed lately is not to blame.
    pub fn excuse(&mut self, window: Window) {
        let others = |suspect: &Suspect| suspect.window.intersect(&window).is_none();
        self.list.retain(|suspect| suspect.part || !others(suspect));
        for suspect in self.list.iter_mut().filter(|suspect| others(suspect)) {
            (suspect.set_aside, suspect.api_answered, suspect.strikes) = (false, false, 0);
        }
    }

    /// Notes a part of a window that is at fault: its next failure counts at once.
    pub fn confirm(&mut self, window: Window) {
        self.list.push(Suspect { window, set_aside: false, api_answered: true, part: true, strikes: 0 });
    }

    /// The API answered a question: whatever was set aside may be tried again. Returns `true` if there was anything.
    pub fn api_answered(&mut self) -> bool {
        let released = self.list.iter().any(|suspect| suspect.set_aside);
        for suspect in &mut self.list {
            suspect.api_answered = true;
            suspect.set_aside = false;
        }
        released
    }

    /// Lets everything be tried again; whether there was anything.
    pub fn release(&mut self) -> bool {
        let waiting = self.list.iter().any(|suspect| suspect.set_aside);
        self.list.iter_mut().for_each(|suspect| suspect.set_aside = false);
        waiting
    }

    /// `window` was read: it is no longer suspected.
    pub fn read(&mut self, window: Window) {
        let touches = |suspect: &mut Suspect| suspect.window.intersect(&window).is_some();
        let touched: Vec<Suspect> = self.list.extract_if(.., touches).collect();
        for suspect in touched {
            let older = Window::new(suspect.window.from(), window.from());
            let newer = Window::new(window.to(), suspect.window.to());
            self.list.extend(older.into_iter().chain(newer).map(|window| Suspect { window, ..suspect }));
        }
    }

    /// What ends before `instant` is out of reach: nobody asks for it any more.
    pub fn forget_before(&mut self, instant: DateTime<Utc>) {
        self.list.retain(|suspect| suspect.window.to() > instant);
    }

    /// What must not be planned for now.
    pub fn set_aside(&self) -> impl Iterator<Item = Window> {
        self.list.iter().filter(|suspect| suspect.set_aside).map(|suspect| suspect.window)
    }

    /// Windows at fault that were narrowed down: each is to be asked for by itself.
    pub fn narrowed(&self) -> impl Iterator<Item = Window> {
        self.list.iter().filter(|suspect| suspect.api_answered || suspect.part).map(|suspect| suspect.window)
    }
}
