//! Windows that failed: is it the window, or is the API away?

use chrono::{DateTime, Utc};

use super::Window;

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
}

impl Suspects {
    /// Notes that `window` failed; whether it is confirmed that the window is at fault, not the API.
    pub fn failed(&mut self, window: Window) -> bool {
        let touches = |suspect: &Suspect| suspect.window.intersect(&window).is_some();
        let confirmed = self.list.iter().any(|suspect| touches(suspect) && suspect.api_answered);
        self.list.retain(|suspect| !touches(suspect));
        if !confirmed {
            self.list.push(Suspect { window, set_aside: true, api_answered: false });
        }
        confirmed
    }

    /// Returns `true` if `window` is known to fail while others are answered.
    pub fn is_confirmed(&self, window: Window) -> bool {
        self.list.iter().any(|suspect| suspect.api_answered && suspect.window.intersect(&window).is_some())
    }

    /// Nothing is answered at present, `window` neither: what failed lately and is not confirmed is not to blame.
    pub fn excuse(&mut self, window: Window) {
        self.list.retain(|suspect| suspect.api_answered || suspect.window.intersect(&window).is_some());
    }

    /// Notes a part of a window that is at fault: its next failure counts at once.
    pub fn confirm(&mut self, window: Window) {
        self.list.push(Suspect { window, set_aside: false, api_answered: true });
    }

    /// The API answered a question: whatever was set aside may be tried again.
    pub fn api_answered(&mut self) {
        for suspect in &mut self.list {
            suspect.api_answered = true;
            suspect.set_aside = false;
        }
    }

    /// Lets everything be tried again; whether there was anything.
    pub fn release(&mut self) -> bool {
        let waiting = self.list.iter().any(|suspect| suspect.set_aside);
        self.list.iter_mut().for_each(|suspect| suspect.set_aside = false);
        waiting
    }

    /// `window` was read: it is no longer suspected.
    pub fn read(&mut self, window: Window) {
        self.list.retain(|suspect| suspect.window.intersect(&window) != Some(suspect.window));
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
        self.list.iter().filter(|suspect| suspect.api_answered).map(|suspect| suspect.window)
    }
}
