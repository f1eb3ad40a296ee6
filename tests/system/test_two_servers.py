# SPDX-License-Identifier: Apache-2.0
"""One writer: a second server on one folder refuses to start, one on the same registry notices that it is behind."""
from tests.lib.wait import wait_until
from tests.system.resources import (
    assert_503, assert_whole, declare, intent, listed, path, remove, try_again_until_done, wait_ready)


def test_the_second_server_on_a_data_folder_refuses_to_start(embedded_store):
    first = embedded_store.server().start()
    declare(first, "web")
    second = embedded_store.server(init=False).start(wait=None)
    assert second.process.wait() == 1
    said = second.log()
    assert "another process" in said and str(embedded_store.data_dir) in said
    # The first goes on, and makes way when it ends.
    declare(first, "web", size="large")
    first.stop()
    second.start()
    assert listed(second)["web"]["spec"]["size"] == "large"


def test_a_killed_server_leaves_no_lock(embedded_store):
    first = embedded_store.server().start()
    declare(first, "web")
    first.kill()
    assert list(listed(embedded_store.server(init=False).start())) == ["web"]


def test_the_server_that_is_behind_stops_restores_and_goes_on(distribution_store):
    one = distribution_store.server().start()
    two = distribution_store.server(init=False).start()
    declare(one, "web", size="small")
    # Two has not noticed yet, and must not write over what it does not know.
    refusal = two.post(path(), intent("web", size="large"))
    assert_503(refusal)
    assert "another one has written" in refusal.json["error"]
    wait_until(lambda: listed(two) == listed(one), "the second server to read what the first wrote")
    wait_ready(two)
    assert declare(two, "web", size="large")["spec"]["size"] == "large"
    assert_503(one.delete(path(name="web")))
    wait_ready(one)
    assert one.get(path(name="web")).json["spec"]["size"] == "large"


def test_nothing_acknowledged_is_lost_between_two_servers(distribution_store):
    servers = [distribution_store.server().start(), distribution_store.server(init=False).start()]
    wanted, refused = {}, 0
    for i in range(24):
        server, name = servers[i // 2 % 2], f"web-{i % 5}"
        if i % 7 == 6 and name in wanted:
            method, where, body = "DELETE", path(name=name), None
        else:
            method, where, body = "POST", path(), intent(name, region=f"round {i}")
        answer = server.request(method, where, body)
        if answer.status == 503:
            assert_503(answer)
            refused += 1
            answer = try_again_until_done(server, method, where, body)
        assert answer.status in (200, 201), answer.body
        if method == "DELETE":
            del wanted[name]
        else:
            wanted[name] = answer.json
    assert refused > 0
    for server in servers:
        server.restart()
        assert listed(server) == wanted
    assert_whole(servers[0], distribution_store.oci())


def test_the_server_that_is_behind_does_not_say_that_a_resource_is_not_there(distribution_store):
    """What it knows is not what is current, so it has to read on before it answers."""
    one = distribution_store.server().start()
    two = distribution_store.server(init=False).start()
    declare(one, "web")
    assert_503(two.delete(path(name="web")))
    assert try_again_until_done(two, "DELETE", path(name="web")).status == 200
    assert try_again_until_done(one, "DELETE", path(name="web")).status == 404
    assert try_again_until_done(one, "POST", path(), intent("other")).status == 201
    assert_whole(one, distribution_store.oci())
