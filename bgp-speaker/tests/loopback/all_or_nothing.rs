//! What is applied is applied as a whole or not at all, also where the caller gives up in the middle.

use std::collections::BTreeMap;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bgp_speaker::kernel::{KernelConfig, MemoryFib};
use bgp_speaker::{Asn, Desired, Identity, KernelExport, MAX_VRPS, Route, RouterId, SpeakerError, Vrp};

use crate::support::{ASN, OWNER, builder, eventually, has_exactly, ip, net, prefixes, speaker, waiting_for};

/// Another identifier, with something of every kind that goes to another task.
fn other_identity(router_id: u32) -> Desired {
    Desired {
        identity: Some(Identity { asn: ASN, router_id: RouterId(router_id) }),
        peers: vec![waiting_for(ip(30, 9), ASN)],
        routes: BTreeMap::from([(OWNER, vec![Route::new(net("10.30.0.0/16"))])]),
        ..Desired::default()
    }
}

#[tokio::test]
async fn too_many_payloads_leave_routes_and_names_as_they_were() {
    let a = speaker(ip(30, 1)).await;
    let before = a.status();
    let vrp = Vrp { prefix: net("10.0.0.0/8"), max_length: 8, asn: Asn(1) };
    let desired = Desired { vrps: Some(vec![vrp; MAX_VRPS + 1].into()), ..other_identity(77) };
    assert_eq!(a.apply(desired).await, Err(SpeakerError::TooManyVrps(MAX_VRPS + 1)));
    assert!(prefixes(&a).await.is_empty());
    assert_eq!((a.status().router_id, a.status().peers.len()), (before.router_id, 0));
}

#[tokio::test]
async fn a_caller_that_gives_up_has_changed_all_of_it() {
    let fib = MemoryFib::new(186);
    let a = builder(ip(31, 1), ASN).fib(KernelConfig::default(), fib).start().await.unwrap();
    let desired = Desired { kernel: Some(KernelExport::Off), ..other_identity(78) };
    {
        let mut applying = std::pin::pin!(a.apply(desired.clone()));
        assert!(futures::poll!(&mut applying).is_pending(), "other tasks have to answer");
    }
    eventually("all of it is done", async || {
        let status = a.status();
        status.router_id == RouterId(78) && status.peers.len() == 1 && status.kernel.is_none()
    })
    .await;
    has_exactly(&a, &["10.30.0.0/16"]).await;
    assert_eq!(a.apply(desired).await.unwrap().changes, [], "nothing is left to be done");
    let back = Desired { identity: None, ..other_identity(0) };
    a.apply(back).await.unwrap();
    assert_ne!(a.status().router_id, RouterId(78));
}

/// A thread of the program's own, which is no part of the runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_outside_the_runtime_may_apply() {
    let a = speaker(ip(35, 1)).await;
    let applying = a.clone();
    let outside = std::thread::spawn(move || {
        let mut applying = std::pin::pin!(applying.apply(other_identity(79)));
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(report) = applying.as_mut().poll(&mut cx) {
                return report;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    eventually("it is done", async || outside.is_finished()).await;
    outside.join().unwrap().unwrap();
    assert_eq!(a.status().router_id, RouterId(79));
}
