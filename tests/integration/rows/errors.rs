//! Section 0: what an error says, and where.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

#[test]
fn e01_e03_e04_name_explanation_and_the_method_at_fault() {
    let mut c = client();
    let (e, q) = (unique("e01"), unique("e04"));
    c.publish(&e, "", "x");
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (60, 40));
    c.open_channel(1);
    c.send(1, purge(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (50, 30));
    // Not a method's fault: none is named.
    c.send_frame(HEADER, 7, b"");
    c.expect_connection_error_like(501, "FRAME_ERROR");
}
