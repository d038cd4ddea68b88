import pytest
from sigbox import persistence
from sigbox.persistence import Address, Backend, Failure, refuse_unknown_settings, secret, setting


class Kept(Backend, summary="here", features=["volatile"]):
    def __init__(self):
        self.documents = {}

    def read(self, at):
        return self.documents.get(at)

    def write(self, at, value, when_ms):
        self.documents[at] = value

    def remove(self, at):
        return self.documents.pop(at, None) is not None

    def ids(self, domain, entity_name):
        return [at.entity_id for at in self.documents if at[:2] == (domain, entity_name)]


def test_pages_ascend_by_bytes_and_end():
    kept = Kept()
    names = ["b", "a", "é", "Z", "\U0001f600", "\uffff", "10", "9"]
    for name in names:
        kept.write(Address("signal", "x", name), b"{}", 0)
    kept.write(Address("risk", "x", "other"), b"{}", 0)
    found, cursor = [], None
    while True:
        page, cursor = kept.keys("signal", "x", cursor, 3)
        assert 0 < len(page) <= 3
        found += page
        if cursor is None:
            break
    assert found == sorted(names, key=str.encode)
    assert kept.keys("signal", "none", None, 3) == ([], None)


def test_the_class_says_what_it_is():
    assert (Kept.name, Kept.summary, Kept.features, Kept.version) == ("kept", "here", ["volatile"], "0.1.0")
    with pytest.raises(TypeError, match="Mute does not say where its documents are"):
        type("Mute", (Backend,), {})


def test_settings(monkeypatch):
    monkeypatch.setattr(persistence, "_get", {"url": "x"}.get)
    monkeypatch.setattr(persistence, "_all", lambda: [("url", "x")])
    monkeypatch.setattr(persistence, "_secret", {"password": "p"}.get)
    assert (setting("url"), setting("db", "0"), setting("db"), secret("password"), secret("x")) == ("x", "0", None, "p", None)
    refuse_unknown_settings("url")
    with pytest.raises(Failure, match="there is no setting url; there are: db") as error:
        refuse_unknown_settings("db")
    assert not error.value.retryable


def test_what_is_missing_is_named():
    class Half(Backend, summary="x"):
        pass

    with pytest.raises(NotImplementedError, match=r"Half has no method read\(self, at\)"):
        Half().has(Address("signal", "x", "y"))
