package program

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadyLine(t *testing.T) {
	r := Ready{Program: "hearsay-relay", ID: "7q2m", Listen: "192.0.2.7:4443", Network: "harbour"}
	for _, c := range []struct {
		json bool
		lab  bool
		name string
		want string
	}{
		{false, false, "harbour", "ready hearsay-relay id=7q2m listen=192.0.2.7:4443 network=harbour lab=no\n"},
		{false, true, "our harbour", "ready hearsay-relay id=7q2m listen=192.0.2.7:4443 network=\"our harbour\" lab=LAB\n"},
		{true, false, "harbour", `{"v":1,"type":"ready","program":"hearsay-relay","id":"7q2m","listen":"192.0.2.7:4443","network":"harbour","lab":false}` + "\n"},
	} {
		var b bytes.Buffer
		r.Lab, r.Network = c.lab, c.name
		if err := r.Print(&b, c.json); err != nil || b.String() != c.want {
			t.Errorf("%q %v, want %q", b.String(), err, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{errors.New("relay: home: signer: store: mailbox full: link: gone"), ExitFailure, "x: error: home: mailbox full: gone\n"},
		{errors.New("it broke"), ExitFailure, "x: error: it broke\n"},
		{fmt.Errorf("open: %w", Fail(ExitHomeInUse, "stop it", errors.New("home in use"))), ExitHomeInUse, "x: error: open: home in use\nx: hint: stop it\n"},
		{errors.New(`unknown command "y" for "x"`), ExitUsage, "x: error: unknown command \"y\" for \"x\"\nx: hint: see x --help\n"},
	} {
		var b bytes.Buffer
		if code := Report(&b, "x", c.err); code != c.code || b.String() != c.want {
			t.Errorf("code %d %q", code, b.String())
		}
	}
	if Fail(1, "", nil) != nil {
		t.Error("a nil error became one")
	}
}

func TestPassphraseFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p")
	for in, ok := range map[string]bool{"secret words\n": true, "\n": false, strings.Repeat("x", maxPassphrase+1): false} {
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ReadPassphrase(file, "", false)
		if (err == nil) != ok || ok && string(p) != "secret words" {
			t.Errorf("%.20q: %q %v", in, p, err)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Code != ExitPassphrase) {
			t.Errorf("%.20q: %v has no exit code 3", in, err)
		}
	}
	if _, err := ReadPassphrase(file+"x", "", false); err == nil {
		t.Error("a missing file was accepted")
	}
}
