use super::*;

#[test]
fn nothing_is_gathered_while_nobody_listens() {
    let notices = Notices::new();
    notices.event("queue.created", ("guest", 1), |_| {
        panic!("nobody wants to know")
    });
    assert!(notices.todo.lock().waiting.is_empty());
}

#[test]
fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
    let notices = Notices::new();
    notices.set_wanted(true);
    let big = "x".repeat(WAITING_MAX / 4);
    for _ in 0..8 {
        notices.event("queue.created", ("guest", 1), |t| {
            t.longstr("name", &big);
        });
    }
    let (waiting, dropped) = notices.next().unwrap();
    assert_eq!(waiting.len() as u64 + dropped, 8);
    assert!(dropped > 0 && !waiting.is_empty());
    // There is room again.
    notices.event("queue.created", ("guest", 1), |_| {});
    assert_eq!(notices.next().unwrap().0.len(), 1);
    notices.stop();
    assert!(notices.next().is_none());
}
