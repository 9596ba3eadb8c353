package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// founded is an network of one founder, whose directory runs.
type founded struct {
	t    *testing.T
	sim  *SimNet
	home string
	link directory.NetworkLink
	stop func()

	passphrase []byte // nil: a lab network
}

// foundJoining founds a network with the changes of edit and runs its directory.
// A lab network asks for all but work, and needs no passphrase.
func foundJoining(t *testing.T, join directory.Join, edit func(*directory.NetworkFile)) *founded {
	t.Helper()
	f := &founded{t: t, sim: NewSimNet(SimConfig{}), home: filepath.Join(t.TempDir(), "founder")}
	if join == directory.JoinOpen {
		f.passphrase = []byte("four words or more")
	}
	lab := f.passphrase == nil
	raw, err := relay.MakeCard(relay.Founder{Home: f.home, Label: "anna", Listen: f.sim.Address(), Lab: lab, Passphrase: f.passphrase})
	f.check(err)
	card, err := directory.ParseCard(raw)
	f.check(err)
	file := relay.NewNetworkFile("harbour", join, lab, time.Now())
	f.check(file.AddFounder(card))
	if edit != nil {
		edit(&file)
	}
	d, err := directory.DraftFounding(file)
	f.check(err)
	f.check(relay.SignDraft(f.home, d, f.passphrase, false))
	chain, err := relay.InstallDraft(f.home, d)
	f.check(err)
	f.link = chain.Link(nil)
	f.run()
	return f
}

func (f *founded) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// run runs the directory until stop.
func (f *founded) run() {
	f.t.Helper()
	conn, err := f.sim.Listen(f.link.Bootstraps[0].Addr)
	f.check(err)
	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: f.home, Conn: conn, ListenPacket: f.listen})
	f.check(err)
	r := run(n.Run)
	<-n.Ready()
	f.stop = func() { f.check(r.end()) }
}

func (f *founded) listen() (net.PacketConn, error) { return f.sim.Listen(f.sim.Address()) }

// close ends the directory and the simulated network.
func (f *founded) close() { f.stop(); f.sim.Close() }

// amend puts a changed network file into force and starts the directory again.
func (f *founded) amend(edit func(*directory.NetworkFile)) {
	f.t.Helper()
	chain, err := relay.FounderChain(f.home)
	f.check(err)
	file := chain.Next(time.Now())
	edit(&file)
	d, err := directory.DraftAmendment(chain, file)
	f.check(err)
	f.check(relay.SignDraft(f.home, d, f.passphrase, false))
	f.stop()
	_, err = relay.InstallDraft(f.home, d)
	f.check(err)
	f.run()
}

// joiner is a relay that tries to join, with what its operator is told.
type joiner struct {
	f      *founded
	node   *relay.Node
	runs   *node
	cfg    relay.NodeConfig
	listen netip.AddrPort

	mu   sync.Mutex
	told []relay.Notice
}

// join starts a relay.
func (f *founded) join(name string, edit func(*relay.NodeConfig)) *joiner {
	f.t.Helper()
	j := &joiner{f: f, listen: f.sim.Address()}
	j.cfg = relay.NodeConfig{
		Home: filepath.Join(f.t.TempDir(), name), Link: f.link, ListenPacket: f.listen,
		Notice: func(m relay.Notice) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.told = append(j.told, m)
		},
	}
	if edit != nil {
		edit(&j.cfg)
	}
	j.start()
	return j
}

func (j *joiner) start() {
	j.f.t.Helper()
	conn, err := j.f.sim.Listen(j.listen)
	j.f.check(err)
	j.cfg.Conn = conn
	j.node, err = relay.NewNode(j.cfg)
	j.f.check(err)
	j.mu.Lock()
	j.told = nil
	j.mu.Unlock()
	j.runs = run(j.node.Run)
	<-j.node.Ready()
}

func (j *joiner) stop() { j.f.check(j.runs.end()) }

// again stops the relay and starts it with a changed configuration.
func (j *joiner) again(edit func(*relay.NodeConfig)) {
	j.f.t.Helper()
	j.stop()
	edit(&j.cfg)
	j.start()
}

// listed demands that the relay is listed within two epochs, after which nothing
// is refused any more.
func (j *joiner) listed(what string) {
	j.f.t.Helper()
	for range 140 {
		if j.node.Status().Listed {
			return
		}
		time.Sleep(time.Second)
	}
	j.f.t.Errorf("%s: not listed; the operator was told %+v", what, j.notices())
}

// refused demands that the operator is told so, once, and that
// the relay stays unlisted.
func (j *joiner) refused(what string, code gossip.VerdictCode) {
	j.f.t.Helper()
	time.Sleep(40 * time.Second)
	n := 0
	for _, m := range j.notices() {
		if m.Kind == relay.NoticeRefused && m.Verdict == code {
			n++
		} else {
			j.f.t.Errorf("%s: told %+v", what, m)
		}
	}
	if n != 1 || j.node.Status().Listed {
		j.f.t.Errorf("%s: told %d times, listed is %v", what, n, j.node.Status().Listed)
	}
}

func (j *joiner) notices() []relay.Notice {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.told)
}

func simulateJoining(t *testing.T, join directory.Join, edit func(*directory.NetworkFile), f func(f *founded)) {
	synctest.Test(t, func(t *testing.T) {
		n := foundJoining(t, join, edit)
		defer n.close()
		f(n)
	})
}

// TestJoinByToken: by a founder's token and by that of an inviter; what is spent,
// or copied from another relay's descriptor, is refused in words.
func TestJoinByToken(t *testing.T) {
	key := filepath.Join(t.TempDir(), "inviter.key")
	pub, err := relay.NewInviterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	simulateJoining(t, directory.JoinToken, func(file *directory.NetworkFile) {
		file.AddInviter(directory.Inviter{Public: pub, Expires: file.Created.Add(24 * time.Hour), Label: "club"})
	}, func(f *founded) {
		link, err := relay.IssueToken(f.home, 1, 7)
		f.check(err)
		guest := f.join("guest", func(c *relay.NodeConfig) { c.Token = link.Token })
		defer guest.stop()
		guest.listed("token of a founder")
		// It needs the token no more, even after its descriptor was lost.
		guest.again(func(c *relay.NodeConfig) {
			c.Token = nil
			f.check(os.Remove(filepath.Join(c.Home, "descriptor")))
		})
		time.Sleep(time.Minute)
		guest.listed("again without the token")

		invited, err := relay.IssueTokenBy(key, f.link, 2, 7)
		f.check(err)
		member := f.join("member", func(c *relay.NodeConfig) { c.Link = invited })
		defer member.stop()
		member.listed("token of an inviter")

		late := f.join("late", func(c *relay.NodeConfig) { c.Token = link.Token })
		defer late.stop()
		late.refused("used up", gossip.VerdictTokenUsed)
		late.again(func(*relay.NodeConfig) {})
		late.refused("used up, and told again after a restart", gossip.VerdictTokenUsed)
		without := f.join("without", nil)
		defer without.stop()
		without.refused("none", gossip.VerdictNoToken)

		// The thief shows what it read in the member's descriptor: a token with a
		// use left.
		stolen, err := os.ReadFile(filepath.Join(member.cfg.Home, "admission"))
		f.check(err)
		without.again(func(c *relay.NodeConfig) {
			f.check(os.WriteFile(filepath.Join(c.Home, "admission"), stolen, 0o600))
		})
		without.refused("replayed from gossip", gossip.VerdictToken)

		// The founders take the inviter out: the member stays, nobody new comes.
		f.amend(func(file *directory.NetworkFile) { f.check(file.RemoveInviter("club")) })
		time.Sleep(30 * time.Second)
		without.again(func(c *relay.NodeConfig) { c.Token = invited.Token })
		without.refused("inviter taken out", gossip.VerdictIssuer)
		member.listed("member of an inviter that is gone")
	})
}

// TestJoinAClosedNetwork: the founders write the relay into the file and out of
// it.
func TestJoinAClosedNetwork(t *testing.T) {
	simulateJoining(t, directory.JoinClosed, nil, func(f *founded) {
		j := f.join("relay", nil)
		defer j.stop()
		j.refused("not in the file", gossip.VerdictClosed)
		f.amend(func(file *directory.NetworkFile) { file.Relays = append(file.Relays, j.node.ID()) })
		j.listed("in the file")
		time.Sleep(time.Minute)
		f.amend(func(file *directory.NetworkFile) { file.Relays = nil })
		time.Sleep(time.Minute)
		if j.node.Status().Listed {
			t.Error("listed although the file does not name it any more")
		}
	})
}

// TestJoinByVouch: a network of vouches begins with a seed, whose operator
// vouches for others by a family key.
func TestJoinByVouch(t *testing.T) {
	key := filepath.Join(t.TempDir(), "family.key")
	if _, err := relay.NewFamilyKey(key); err != nil {
		t.Fatal(err)
	}
	simulateJoining(t, directory.JoinVouch, nil, func(f *founded) {
		first := f.join("first", nil)
		defer first.stop()
		first.refused("nobody vouches", gossip.VerdictNoVouch)
		f.amend(func(file *directory.NetworkFile) { file.Seeds = append(file.Seeds, first.node.ID()) })
		first.listed("seed")

		second := f.join("second", nil)
		defer second.stop()
		second.refused("nobody vouches", gossip.VerdictNoVouch)
		vouch, err := relay.Vouch(key, f.link.ID, second.node.ID(), 180)
		f.check(err)
		second.again(func(c *relay.NodeConfig) { c.Vouches = []directory.Vouch{vouch} })
		second.refused("the voucher has no relay", gossip.VerdictVoucher)

		// The first relay declares the family, which a running relay takes up. In a
		// young network half its age is enough for a voucher.
		certificate, err := relay.CertifyFamily(key, f.link.ID, first.node.ID(), 365)
		f.check(err)
		_, err = relay.AddFamily(first.cfg.Home, []byte(certificate.Text(first.node.ID())))
		f.check(err)
		second.listed("vouched for")
		if v := second.node.Views().Current(); v != nil {
			if r, ok := v.Relay(second.node.ID()); !ok || r.Flags&directory.FlagVouched == 0 {
				t.Error("it is not vouched")
			}
		}
		other, err := relay.Vouch(key, f.link.ID, first.node.ID(), 180)
		f.check(err)
		second.stop()
		second.cfg.Vouches = []directory.Vouch{other}
		if _, err := relay.NewNode(second.cfg); !errors.Is(err, relay.ErrOtherRelay) {
			t.Errorf("the vouch of another relay: %v", err)
		}
		second.cfg.Vouches = nil
		second.start()
		second.listed("without the vouch")
	})
}

// TestJoinByWork: the relay works before it publishes and says so; the work is
// kept.
func TestJoinByWork(t *testing.T) {
	simulateJoining(t, directory.JoinOpen, func(file *directory.NetworkFile) {
		file.Params = map[directory.Param]int64{directory.ParamPoWBits: 3}
	}, func(f *founded) {
		j := f.join("relay", nil)
		defer j.stop()
		j.listed("by work")
		worked := 0
		for _, m := range j.notices() {
			switch m.Kind {
			case relay.NoticeWorked:
				worked++
			case relay.NoticeRefused:
				t.Errorf("told %+v", m)
			}
		}
		if worked != 1 {
			t.Errorf("it worked %d times", worked)
		}
		v := j.node.Views().Current()
		if r, ok := v.Relay(j.node.ID()); !ok || r.Flags&directory.FlagVouched != 0 {
			t.Error("work makes it vouched")
		}
		j.again(func(*relay.NodeConfig) {})
		j.listed("again")
		if slices.ContainsFunc(j.notices(), func(m relay.Notice) bool { return m.Kind == relay.NoticeWorked }) {
			t.Error("it worked again")
		}
		// Work that a bootstrap refuses is done anew, without a word to the operator
		// but on the work: here the file of another relay.
		copied, err := os.ReadFile(filepath.Join(j.cfg.Home, "work"))
		f.check(err)
		other := f.join("other", func(c *relay.NodeConfig) {
			f.check(os.Mkdir(c.Home, 0o700))
			f.check(os.WriteFile(filepath.Join(c.Home, "work"), copied, 0o600))
		})
		defer other.stop()
		other.listed("after work that was another's")
		if slices.ContainsFunc(other.notices(), func(m relay.Notice) bool { return m.Kind == relay.NoticeRefused }) {
			t.Errorf("told %+v", other.notices())
		}
	})
}
