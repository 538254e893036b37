//! Faults of the API and of the way to it.

use voicenter_simulator::Fault;

use crate::torture::rounds::{Form, Kind, torture};
use crate::torture::scene::Setup;

/// How long each spell lasts: at least as long as a few tries.
const SPELL: std::ops::Range<u64> = 3_000..8_000;

async fn spells(place: u32, name: &'static str, fault: Fault, form: Form) {
    let kind = Kind { place, name, times: (10, 1), lanes: 1, within: 10 };
    torture(&kind, form, &Setup::default(), async |scene, _| {
        scene.simulator.faults().always(fault);
        scene.spell(SPELL).await;
        scene.simulator.faults().clear();
        scene.recovery().await
    })
    .await;
}

pub async fn refuses_connections(form: Form) {
    let kind = Kind { place: 11, name: "The API refuses connections", times: (10, 1), lanes: 1, within: 10 };
    torture(&kind, form, &Setup { api_wire: true, ..Setup::default() }, async |scene, _| {
        scene.daemons[0].api.as_mut().unwrap().refuse().await;
        scene.spell(SPELL).await;
        scene.daemons[0].api.as_mut().unwrap().listen().await;
        scene.recovery().await
    })
    .await;
}

pub async fn hangs(form: Form) {
    spells(12, "The API takes requests and never answers", Fault::Hang, form).await;
}

pub async fn drips(form: Form) {
    spells(13, "The API answers a few bytes at a time", Fault::SlowDrip, form).await;
}

pub async fn bad_gateway(form: Form) {
    spells(14, "The API answers 502", Fault::Http502, form).await;
}

pub async fn resets(form: Form) {
    spells(15, "The API resets connections", Fault::Reset, form).await;
}
