//! Lists, searches and their pages.

use crate::server::{Server, field};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn machines_are_found_by_everything_that_is_known_of_them() {
    let server = Server::new();
    let one = server.organisation("one");
    let (lab, desk) = (server.machine(&one, "lab-100%").await, server.machine(&one, "desk").await);
    let machine = server.machine_token(&one, &lab);
    let inventory = json!({
        "ip_addresses": ["192.168.7.9", "fe80::1"], "mac_addresses": ["AA-BB-CC-DD-EE-0F"], "serial": "S/N 4711",
        "smbios_uuid": "0123456789ABCDEF0123456789abcdef",
        "disks": [{"path": "/dev/sda", "bytes": 1_i64 << 40, "logical_sector_bytes": 512, "physical_sector_bytes": 4096}],
    });
    let (status, told) =
        server.ask(&machine, Method::PUT, &format!("/machines/{lab}/inventory"), Some(inventory)).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["mac_addresses"], json!(["aa:bb:cc:dd:ee:0f"]));
    assert_eq!(told["disks"][0]["physical_sector_bytes"], 4096);
    assert!(told["seen_ms"].is_i64());
    for text in ["LAB", "7.9", "aabb.ccdd.ee0f", "dd:ee", "4711", "89ab-cdef", "100%25", "fe80"] {
        assert_eq!(
            field(&server.get(&one.viewer, &format!("/machines?q={text}")).await, "id"),
            [lab.as_str()],
            "{text}"
        );
    }
    assert_eq!(field(&server.get(&one.viewer, "/machines?q=_").await, "id"), [""; 0]);
    assert_eq!(field(&server.get(&one.viewer, "/machines?name=desk").await, "id"), [desk.as_str()]);
    let other = server.machine_token(&one, &desk);
    let path = format!("/machines/{lab}/inventory");
    assert_eq!(server.refused(&other, Method::PUT, &path, Some(json!({}))).await.0, 404);
    assert_eq!(server.refused(&one.viewer, Method::PUT, &path, Some(json!({}))).await.0, 403);
}

#[tokio::test]
async fn pages_give_every_item_once() {
    let server = Server::new();
    let one = server.organisation("one");
    let machine = server.machine(&one, "pc").await;
    let repository = server.repository(&one, "main");
    for number in 0..25 {
        server.machine(&one, &format!("ü {number:02}")).await;
        // Some come in at the same time.
        server.image(&one, &repository, &machine, &format!("lab.{number:02}/disk"), 1000 + number / 3);
    }
    for (path, unique, count) in [
        ("/machines?q=%C3%BC", "name", 25),
        ("/images?", "image", 25),
        ("/images?q=DISK", "image", 25),
        ("/images?name_prefix=lab.1", "image", 10),
        ("/images?repository=main&from_ms=1002&to_ms=1004", "image", 6),
        (&format!("/images?machine={machine}&q=b.2"), "image", 5),
        (&format!("/events?machine={machine}"), "number", 1),
        ("/events?kind=machine.created", "number", 26),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = server.get(&one.viewer, &format!("{path}&limit=4{after}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 4);
            seen.extend(items.iter().map(|item| item[unique].to_string()));
            let Some(next) = page["next"].as_str() else { break };
            let escaped: String = next.bytes().map(|byte| format!("%{byte:02x}")).collect();
            after = format!("&after={escaped}");
        }
        assert_eq!(seen.len(), count, "{path}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{path}");
    }
    for path in [
        "/machines?limit=0",
        "/machines?limit=501",
        "/machines?other=1",
        "/images?q=ab",
        "/images?after=x",
        "/events?from_ms=-1",
        "/events?after=x",
        "/runs?state=lost",
    ] {
        assert_eq!(
            server.refused(&one.viewer, Method::GET, path, None).await,
            (400, "invalid-request".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_search_for_names_follows_changes() {
    let server = Server::new();
    let one = server.organisation("one");
    let machine = server.machine(&one, "pc").await;
    server.repository(&one, "main");
    let repository = server.get(&one.viewer, "/repositories").await["items"][0]["id"].as_str().unwrap().to_owned();
    let image = server.image(&one, &repository, &machine, "before", 1);
    server.rights(&machine, &repository, "own");
    let token = server.machine_token(&one, &machine);
    let report = json!({"name": "after \"quoted\"", "source_bytes": 7});
    let told = server.post(&token, &format!("/images/main/{image}/report"), report.clone()).await;
    assert_eq!(
        (&told["name"], &told["source_bytes"], &told["receipt"]),
        (&report["name"], &json!(7), &json!("signed"))
    );
    assert_eq!(server.get(&one.viewer, "/images?q=before").await["items"], json!([]));
    assert_eq!(field(&server.get(&one.viewer, "/images?q=r%20%22quo").await, "image"), [image.as_str()]);
    server.sql("DELETE FROM images", []);
    assert_eq!(server.get(&one.viewer, "/images?q=quoted").await["items"], json!([]));
}

#[tokio::test]
async fn names_are_found_where_they_are_and_nowhere_else() {
    let server = Server::new();
    let (one, two) = (server.organisation("one"), server.organisation("two"));
    let (machine, foreign) = (server.machine(&one, "pc").await, server.machine(&two, "pc").await);
    let (main, spare) = (server.repository(&one, "main"), server.repository(&one, "spare"));
    let others = server.repository(&two, "main");
    // The same name many times, in two repositories and at another organisation's.
    for number in 0..7 {
        server.image(&one, &main, &machine, "Room-3/pc", 1000 + number);
        server.image(&one, &spare, &machine, "Room-3/pc", 1000 + number);
        server.image(&two, &others, &foreign, "Room-3/pc", 1000 + number);
    }
    server.image(&one, &main, &machine, "Room-4/pc", 2000);
    for (query, count) in [
        ("q=oom-3", 14),
        ("q=room", 15),
        ("q=room&repository=main", 8),
        ("q=room-3&repository=spare", 7),
        ("q=room-4&repository=spare", 0),
        ("q=room&from_ms=1002&to_ms=1004", 4),
        ("q=room&from_ms=3000", 0),
        ("q=room&to_ms=0", 0),
        ("name_prefix=Room-", 15),
        ("name_prefix=Room-3&repository=main", 7),
        ("name_prefix=Room-4&repository=spare", 0),
        ("name_prefix=room", 0),
        ("name_prefix=Room-3&q=3/PC", 14),
        ("name_prefix=Room-4&q=4/pc", 1),
        ("q=%00%00%00", 0),
        ("q=%22%20OR%20name", 0),
    ] {
        for limit in [1, 4, 500] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = server.get(&one.viewer, &format!("/images?{query}&limit={limit}{after}")).await;
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                seen.extend(items.iter().map(|item| item["image"].to_string()));
                let Some(next) = page["next"].as_str() else { break };
                let escaped: String = next.bytes().map(|byte| format!("%{byte:02x}")).collect();
                after = format!("&after={escaped}");
            }
            assert_eq!(seen.len(), count, "{query}");
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), count, "{query}");
        }
    }
    // Of one name the newest come first.
    let page = server.get(&one.viewer, "/images?q=room-3&repository=main").await;
    let times: Vec<i64> =
        page["items"].as_array().unwrap().iter().map(|it| it["received_ms"].as_i64().unwrap()).collect();
    assert_eq!(times, [1006, 1005, 1004, 1003, 1002, 1001, 1000]);
    // A name without images is none.
    server.sql("UPDATE images SET deleted_ms = 1 WHERE name = 'Room-4/pc'", []);
    assert_eq!(server.get(&one.viewer, "/images?q=room-4").await["items"], json!([]));
    server.sql("UPDATE images SET deleted_ms = NULL WHERE name = 'Room-4/pc'", []);
    assert_eq!(server.get(&one.viewer, "/images?q=room-4").await["items"].as_array().unwrap().len(), 1);
    server.sql("DELETE FROM images WHERE received_ms <> 1000", []);
    assert_eq!(server.get(&one.viewer, "/images?q=room").await["items"].as_array().unwrap().len(), 2);
    server.sql("DELETE FROM images", []);
    let left = server.state.database.read_blocking(|connection| {
        let count = |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        Ok::<(i64, i64), holotype_server::error::ApiError>((count("image_names")?, count("image_name_parts")?))
    });
    assert_eq!(left.unwrap(), (0, 0));
}

#[tokio::test]
async fn groups_and_storages_keep_their_names_apart() {
    let server = Server::new();
    let one = server.organisation("one");
    let machine = server.machine(&one, "pc").await;
    let group = server.post(&one.operator, "/groups", json!({"name": "lab"})).await["id"].as_str().unwrap().to_owned();
    let again = server.refused(&one.operator, Method::POST, "/groups", Some(json!({"name": "lab"}))).await;
    assert_eq!(again, (409, "conflict".into()));
    let member = format!("/groups/{group}/machines/{machine}");
    for _ in 0..2 {
        assert_eq!(server.ask(&one.operator, Method::PUT, &member, None).await.0, 204);
    }
    assert_eq!(server.get(&one.viewer, &format!("/groups/{group}")).await["machines"], 1);
    assert_eq!(field(&server.get(&one.viewer, &format!("/machines?group={group}")).await, "name"), ["pc"]);
    assert_eq!(server.ask(&one.operator, Method::DELETE, &member, None).await.0, 204);
    assert_eq!(server.get(&one.viewer, &format!("/machines?group={group}")).await["items"], json!([]));
    let storage = json!({"name": "nas", "kind": "smb", "location": "smb://ann:secret@nas/share"});
    assert_eq!(server.refused(&one.admin, Method::POST, "/storages", Some(storage)).await.0, 400);
    let storage = json!({"name": "nas", "kind": "smb", "location": "smb://nas/share"});
    assert_eq!(server.refused(&one.operator, Method::POST, "/storages", Some(storage.clone())).await.0, 403);
    assert_eq!(server.post(&one.admin, "/storages", storage).await["kind"], "smb");
    assert_eq!(server.refused(&one.operator, Method::DELETE, &format!("/machines/{machine}"), None).await.0, 403);
    assert_eq!(server.ask(&one.admin, Method::DELETE, &format!("/machines/{machine}"), None).await.0, 204);
    assert_eq!(server.refused(&one.viewer, Method::GET, &format!("/machines/{machine}"), None).await.0, 404);
}
