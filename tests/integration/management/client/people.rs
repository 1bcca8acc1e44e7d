//! Vhosts, users and what they may do.

use rabbitmq_http_client::commons::QueueType;
use rabbitmq_http_client::password_hashing;
use rabbitmq_http_client::requests::{Permissions, UserParams, VirtualHostParams};

use super::{Vhost, client, client_as, page};

#[test]
fn vhosts() {
    let api = client();
    let vhost = Vhost::new(&api, "vhosts");
    let params = VirtualHostParams::named(&vhost.1)
        .with_description("described")
        .with_tags(vec!["a", "b"])
        .with_default_queue_type(QueueType::Classic);
    api.update_vhost(&params).unwrap();
    let found = api.get_vhost(&vhost.1).unwrap();
    assert_eq!(found.name, vhost.1);
    assert_eq!(found.description.as_deref(), Some("described"));
    let page = page(500);
    assert!(api.list_vhosts().unwrap().iter().any(|v| v.name == vhost.1));
    assert!(
        api.list_vhosts_paged(&page)
            .unwrap()
            .iter()
            .any(|v| v.name == vhost.1)
    );
    api.delete_vhost(&vhost.1, false).unwrap();
    api.delete_vhost(&vhost.1, false).unwrap_err();
    api.delete_vhost(&vhost.1, true).unwrap();
    api.get_vhost(&vhost.1).unwrap_err();
}

#[test]
fn users_and_permissions() {
    let api = client();
    let vhost = Vhost::new(&api, "users");
    let name = format!("client-{}", std::process::id());
    let salt = password_hashing::salt();
    let hash = password_hashing::base64_encoded_salted_password_hash_sha256(&salt, "secret");
    api.create_user(&UserParams::new(&name, &hash, "management, monitoring"))
        .unwrap();
    let user = api.get_user(&name).unwrap();
    assert!(user.password_hash.is_some());
    let own = client_as(&name, "secret");
    assert_eq!(own.current_user().unwrap().name, name);
    own.list_users().unwrap_err();
    let page = page(500);
    assert!(api.list_users().unwrap().iter().any(|u| u.name == name));
    assert!(
        api.list_users_paged(&page)
            .unwrap()
            .iter()
            .any(|u| u.name == name)
    );
    let without = api.list_users_without_permissions().unwrap();
    assert!(without.iter().any(|u| u.name == name));
    let permissions = Permissions {
        user: &name,
        vhost: &vhost.1,
        configure: "^a",
        read: "^b",
        write: "",
    };
    api.declare_permissions(&permissions).unwrap();
    api.grant_permissions(&permissions).unwrap();
    let found = api.get_permissions(&vhost.1, &name).unwrap();
    assert_eq!((found.configure.as_str(), found.write.as_str()), ("^a", ""));
    for list in [
        api.list_permissions().unwrap(),
        api.list_permissions_in(&vhost.1).unwrap(),
        api.list_permissions_of(&name).unwrap(),
    ] {
        assert!(list.iter().any(|p| p.user == name && p.vhost == vhost.1));
    }
    api.clear_permissions(&vhost.1, &name, false).unwrap();
    api.clear_permissions(&vhost.1, &name, false).unwrap_err();
    api.clear_permissions(&vhost.1, &name, true).unwrap();
    api.delete_user(&name, false).unwrap();
    api.delete_user(&name, false).unwrap_err();
    api.create_user(&UserParams::new(&name, &hash, "")).unwrap();
    api.delete_users(vec![&name]).unwrap();
    api.get_user(&name).unwrap_err();
}
