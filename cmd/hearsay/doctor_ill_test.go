package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/cmd/program"
	"hearsay/directory"
)

// patient is a profile that stands as a test says.
type patient struct {
	status chat.Status
	hops   []netip.AddrPort
}

func (p *patient) Status() chat.Status         { return p.status }
func (p *patient) FirstHops() []netip.AddrPort { return p.hops }

// TestDoctorExplainsWhatIsWrong: each fault of the network has its own line, which
// says what to do, and what depends on it is skipped.
func TestDoctorExplainsWhatIsWrong(t *testing.T) {
	open := circuit.Info{State: "open", Path: []directory.RelayID{{1}, {2}, {3}}}
	well := chat.Status{
		Network: "harbour", Relays: 9, Epoch: 7, SnapshotAge: time.Minute, Health: chat.Connected, Cover: "off",
		Ready: true, Circuits: []circuit.Info{open},
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() }) // after the subtests
	mute := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	for name, c := range map[string]struct {
		ail   func(*chat.Status)
		hop   netip.AddrPort
		lines []string // in this order
	}{
		"well": {func(*chat.Status) {}, netip.AddrPort{}, []string{"ok       snapshot", "ok       clock", "ok       circuit", "ok       mailboxes"}},
		"no UDP, first start": {
			func(st *chat.Status) { *st = chat.Status{} }, mute,
			[]string{"failed   network file", "none comes back", "fix: this network seems to block UDP", "skipped  snapshot"},
		},
		"no UDP": {
			func(st *chat.Status) { st.Circuits, st.Why, st.Ready = nil, "no guard answers", false }, mute,
			[]string{"ok       snapshot", "failed   guard         no guard answers; packets leave", "fix: this network seems to block UDP", "skipped  circuit"},
		},
		"no UDP, and other guards were tried": {
			func(st *chat.Status) {
				st.Circuits, st.Why, st.Ready = nil, "", false
				st.Steps = []chat.Step{{Name: checkGuard, State: "done", Detail: "the guard does not answer; the next one takes over"}}
			}, mute,
			[]string{"ok       snapshot", "failed   guard         no guard answers; packets leave", "fix: this network seems to block UDP", "skipped  circuit"},
		},
		"guard away": {
			func(st *chat.Status) { st.Circuits, st.Why, st.Ready = nil, "no guard answers", false }, netip.MustParseAddrPort(freePort(t)),
			[]string{"failed   guard", "answers that no relay runs there", "fix: wait: whoever runs it"},
		},
		"clock behind": {
			func(st *chat.Status) { st.ClockSkew = -3 * time.Hour },
			netip.AddrPort{},
			[]string{"warning  clock         3h0m0s behind the network", "fix: set this computer's clock"},
		},
		"clock far ahead": {
			func(st *chat.Status) { st.ClockSkew = 40 * time.Hour },
			netip.AddrPort{},
			[]string{"failed   clock         40h0m0s ahead of the network", "fix: set this computer's clock"},
		},
		"a day without a snapshot": {
			func(st *chat.Status) { st.Health, st.SnapshotAge = chat.StaleView, 25*time.Hour },
			netip.AddrPort{},
			[]string{"warning  snapshot", "no new guard is chosen", "fix: none newer can be had", "skipped  clock"},
		},
		"four days without one": {
			func(st *chat.Status) {
				st.Health, st.SnapshotAge, st.Circuits = chat.StaleView, 96*time.Hour, nil
				st.Why, st.Outlook.NeedsConsent = "using it needs your consent", true
			},
			netip.AddrPort{},
			[]string{"warning  snapshot", "circuits need your consent", "failed   guard         using it needs your consent", "enter /consent"},
		},
		"eight days without one": {
			func(st *chat.Status) {
				st.Health, st.SnapshotAge, st.Circuits = chat.StaleView, 192*time.Hour, nil
				st.Why = "the snapshot of the network is more than 7 days old"
			},
			netip.AddrPort{},
			[]string{"no circuit is built with it", "failed   guard"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &patient{status: well}
			c.ail(&p.status)
			if c.hop.IsValid() {
				p.hops = []netip.AddrPort{c.hop}
			}
			var out strings.Builder
			d := &doctor{out: doctorPrinter(&out, false, false), network: 20 * time.Millisecond, mail: 20 * time.Millisecond}
			if err := d.connected(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			rest := out.String()
			for _, want := range c.lines {
				at := strings.Index(rest, want)
				if at < 0 {
					t.Fatalf("%q does not come in its place in\n%s", want, out.String())
				}
				rest = rest[at+len(want):]
			}
			if failed := strings.Contains(out.String(), "failed "); failed != (d.failed > 0) || failed != (d.code != 0) {
				t.Errorf("%d failed, code %d, in\n%s", d.failed, d.code, out.String())
			}
		})
	}
}

// TestDoctorTellsFaultsOfUDPApart: an answer, silence, a refusal, and what this
// computer itself says.
func TestDoctorTellsFaultsOfUDPApart(t *testing.T) {
	w := startNetwork(t, 1)
	for _, r := range w.relays {
		if got := askUDP(t.Context(), []netip.AddrPort{netip.MustParseAddrPort(freePort(t)), netip.MustParseAddrPort(r.listen)}, patience); got != udpAnswered {
			t.Errorf("a relay that runs: %d", got)
		}
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	if got := askUDP(t.Context(), []netip.AddrPort{mute}, 50*time.Millisecond); got != udpSilent {
		t.Errorf("nobody answers: %d", got)
	}
	nobody := netip.MustParseAddrPort(freePort(t))
	if got := askUDP(t.Context(), []netip.AddrPort{nobody}, patience); got != udpRefused {
		t.Errorf("nothing listens: %d", got)
	}
	got := udpSilent
	for within := 50 * time.Millisecond; got == udpSilent && within < patience; within *= 4 { // the silent one takes all of it
		got = askUDP(t.Context(), []netip.AddrPort{mute, nobody}, within)
	}
	if got != udpRefused {
		t.Errorf("nothing listens at one of two: %d", got)
	}
	if got := askUDP(t.Context(), nil, time.Second); got != udpUnknown {
		t.Errorf("nobody is asked: %d", got)
	}
	for err, want := range map[error]udpResult{
		syscall.EPERM: udpForbidden, syscall.EACCES: udpForbidden, syscall.ENETUNREACH: udpNoRoute,
		syscall.EHOSTUNREACH: udpNoRoute, syscall.ECONNREFUSED: udpRefused, syscall.EINVAL: udpSilent,
	} {
		got := udpError(&net.OpError{Op: "write", Err: os.NewSyscallError("sendto", err)})
		if detail, fix := udpWords(got); got != want || detail == "" || fix == "" {
			t.Errorf("%v: %d, %q, %q", err, got, detail, fix)
		}
	}
	// A packet that is no answer to ours, from whoever guesses the port, is none.
	ours := firstPacket()
	good := append([]byte{0x80, 0, 0, 0, 0, udpID}, ours[7+udpID:7+2*udpID]...)
	good = append(append(append(good, udpID), ours[6:6+udpID]...), 0, 0, 0, 1)
	if !offersVersions(good, ours) || offersVersions(good[:len(good)-1], ours) || offersVersions(good, firstPacket()) {
		t.Error("an answer is told by its ids alone")
	}
}

// TestDoctorFindsAFullDisk: by what is free, and by what writing says.
func TestDoctorFindsAFullDisk(t *testing.T) {
	for _, c := range []struct {
		free   uint64
		known  bool
		err    error
		result string
		text   string
	}{
		{1 << 40, true, nil, checkOK, "1024 GiB free"},
		{0, false, nil, checkOK, "takes what is written"},
		{100 << 20, true, nil, checkWarning, "100 MiB free"},
		{1 << 20, true, nil, checkFailed, "the disk is full"},
		{0, false, &os.PathError{Op: "write", Err: syscall.ENOSPC}, checkFailed, "the disk is full"},
		{1 << 40, true, &os.PathError{Op: "open", Err: syscall.EROFS}, checkFailed, "can only be read"},
		{1 << 40, true, &os.PathError{Op: "write", Err: syscall.EDQUOT}, checkFailed, "cannot write"},
	} {
		got := diskCheck(c.free, c.known, c.err)
		if got.Result != c.result || !strings.Contains(got.Detail, c.text) || (got.Fix == "") != (c.result == checkOK) {
			t.Errorf("%d bytes, %v: %+v", c.free, c.err, got)
		}
	}
	dir := t.TempDir()
	if err := writeTest(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if err := writeTest(filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestDoctorFindsADamagedStore: a file without its end, which the program must not
// open, and rows that changed on the disk.
func TestDoctorFindsADamagedStore(t *testing.T) {
	dir := t.TempDir()
	founded := start(t, "hearsay-directory", "init", "--home", filepath.Join(dir, "d"), "--lab", "--join", "open", "--name", "dead", "--listen", freePort(t), "--json")
	var made struct{ Link string }
	unmarshal(t, founded.line(), &made)
	home := filepath.Join(dir, "home")
	p, err := openProfile(chat.Config{Home: home, Network: made.Link})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := p.Send(t.Context(), chat.NotesID, fmt.Sprintf("note %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "store.db")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	look := func(what string, b []byte) (code int, said string) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		d := &doctor{out: doctorPrinter(&out, false, false), home: home, network: time.Millisecond}
		state, err := chat.Inspect(home)
		p, err := d.open(t.Context(), chat.Config{Home: home}, state, err, "")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if p != nil {
			if err := p.stop(); err != nil && (what != "a bit" || !strings.Contains(err.Error(), "damaged")) { // it may meet the bit itself
				t.Errorf("%s: %v", what, err)
			}
		}
		return d.code, out.String()
	}
	if code, said := look("whole", good); code != 0 || !strings.Contains(said, "warning  store         opens; all of it can be read; file mode") {
		t.Errorf("whole: code %d\n%s", code, said)
	}
	good, err = os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if code, said := look("cut", good[:len(good)/3]); code != program.ExitFailure || !strings.Contains(said, "failed   store") ||
		!strings.Contains(said, "damaged") || !strings.Contains(said, "hearsay restore FILE") || !strings.Contains(said, "skipped  mailboxes") {
		t.Errorf("cut: code %d\n%s", code, said)
	}
	// The rows of a note are larger than any other: the first bytes of long runs
	// of sealed ones are changed, until one was hit that opening does not read.
	hit := false
	for at := len(good) / 2; at < len(good) && !hit; at += 1000 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 1
		code, said := look("a bit", bad)
		hit = code == program.ExitFailure && strings.Contains(said, "damaged") && strings.Contains(said, "hearsay restore FILE")
	}
	if !hit {
		t.Error("no changed bit was found")
	}
	if code, said := look("mended", good); code != 0 {
		t.Errorf("mended: code %d\n%s", code, said)
	}
}
