package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// Limits of a lent relay.
const (
	lentBandwidth = "1MiB"           // a second, each way, if nothing is said
	lentLeast     = 512 << 10        // below it, echoing for measurements would take all of it
	lentSpace     = 1 << 30          // of its mailboxes, on the disk
	lentMemory    = 256 << 20        // of its heap
	lentPort      = 4443             // if nothing is said
	lentQuiet     = 2 * time.Second  // that stopping takes before it is mentioned
	lentAgain     = 15 * time.Second // between tries to start it, if something is in the way
)

// contributeFlags say whether and how this computer lends a relay.
type contributeFlags struct {
	on, accepted      bool
	listen, bandwidth string
}

// add puts the flags on a command.
func (c *contributeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&c.on, "contribute", false, "lend the network a relay while this runs; it says first what others see")
	fl.StringVar(&c.listen, "contribute-listen", "", "public UDP address of that relay, IP:PORT (default: this computer's own, if it is public, and port 4443)")
	fl.StringVar(&c.bandwidth, "contribute-bandwidth", lentBandwidth, "what that relay may carry, a second and each way; at least 512KiB")
	fl.BoolVar(&c.accepted, "contribute-accept", false, "you read what --contribute shows others: do not ask")
}

// contributeText is what a person reads before a relay is lent for the first time.
const contributeText = `You are about to lend the network a relay: while this program runs, this computer
carries sealed cells of people whom you do not know, and keeps sealed messages for
them. It never carries clear text, and nobody reaches the rest of the internet
through it. It takes up to %s a second each way, 1 GiB of the disk and
256 MiB of memory. In an open network it first computes for some minutes.

What others see:
  - Your relay's address is published, to everybody, and it is this computer's.
  - Relays of the network see the same address as that of a client. So whoever
    looks for people who use this network finds you.
  - This profile's circuits never go through your relay, and your messages do not
    wait there; other profiles of this computer do not know it, and may use it.
    Whoever runs another mailbox relay and watches for long can find out that it
    is missing, and so guess whose it is; in a network of few relays that is soon.
  - Your relay comes and goes with this program. Your contacts see when your
    messages arrive, and can compare. "hearsay daemon" on a computer that is
    always on gives away least.
  - The relay's traffic is no cover traffic and hides nothing of yours.

If anybody may be looking for you, do not do this here: run hearsay-relay on
another computer, at another address. It helps the network as much.
`

// relayHome is the home of the relay that is lent beside a profile.
func relayHome(home string) string { return filepath.Join(home, chat.RelayDir) }

// lending says how a relay is to be lent.
type lending struct {
	listen    netip.AddrPort // that others dial; zero: this computer's
	bandwidth int64
	again     time.Duration // in place of lentAgain, if not zero
}

// lending checks the flags, and asks before the first start. nil: none is lent.
func (f *flags) lending(cmd *cobra.Command) (*lending, error) {
	c := &f.contribute
	if !c.on {
		for _, name := range []string{"contribute-listen", "contribute-bandwidth", "contribute-accept"} {
			if cmd.Flags().Changed(name) {
				return nil, program.Usage("give --contribute as well", "--%s: no relay is lent", name)
			}
		}
		return nil, nil
	}
	l := &lending{}
	var err error
	if l.bandwidth, err = program.ParseSize("contribute-bandwidth", c.bandwidth, lentLeast); err != nil {
		return nil, err
	}
	if l.bandwidth == 0 {
		return nil, program.Usage("give --contribute-bandwidth at least 512KiB", "--contribute-bandwidth: a relay is lent with a limit only")
	}
	if c.listen != "" {
		if l.listen, err = program.ParseListen("contribute-listen", c.listen); err != nil {
			return nil, err
		}
		if l.listen.Addr().IsUnspecified() {
			return nil, program.Usage("give the address that others dial", "--contribute-listen: %s is no address of a computer", l.listen)
		}
	}
	_, err = relay.HomeID(relayHome(f.dir()))
	switch {
	case err == nil || c.accepted:
		return l, nil
	case !errors.Is(err, relay.ErrNoNetwork): // it is not missing
		return nil, program.NodeError(err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), contributeText, c.bandwidth)
	if !isTerminal() {
		return nil, program.Usage("if you accept this, add --contribute-accept", "nobody was asked whether to lend a relay")
	}
	yes, err := agrees(cmd.Context(), os.Stdin, cmd.ErrOrStderr(), "\nLend a relay from here? [y/N] ")
	if err != nil {
		return nil, err
	}
	if !yes {
		return nil, program.Fail(program.ExitRefused, "without --contribute nothing is lent", errors.New("no relay is lent"))
	}
	return l, nil
}

// agrees asks a question. Only a clear yes counts.
func agrees(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question)
	answer := make(chan string, 1)
	go func() { // ends with the program at the latest
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, program.Fail(program.ExitInterrupted, "", errors.New("interrupted"))
	}
}

// lent is a relay that runs beside a profile.
type lent struct {
	lending lending
	id      directory.RelayID // of its key, once there is one
	home    string
	link    directory.NetworkLink
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended
	log     *slog.Logger

	mu     sync.Mutex
	node   *relay.Node // nil: it does not run
	killed bool
	told   chat.Lent
}

// lend names the relay beside a profile to it, so that its circuits avoid it, and
// starts it if l is not nil. It comes before the profile runs. What keeps the relay
// from starting keeps nobody from the profile, but at the first start, when it has no
// key yet.
func lend(m *chat.Messenger, home string, l *lending, log *slog.Logger) (*lent, error) {
	dir := relayHome(home)
	id, unknown := relay.HomeID(dir)
	if l == nil {
		switch {
		case errors.Is(unknown, relay.ErrNoNetwork):
			return nil, nil // there is none
		case unknown != nil:
			return nil, program.Fail(program.ExitFailure, "move lent-relay in the profile's directory away, or restore its identity.key", fmt.Errorf("the relay that was lent beside this profile cannot be told: %w", unknown))
		}
		m.Lend(id, nil) // it may still be listed, and others hold its address
		return nil, nil
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &lent{lending: *l, id: id, home: dir, link: m.NetworkLink(), cancel: cancel, done: make(chan struct{}), log: log}
	r.told = chat.Lent{Bandwidth: l.bandwidth, Address: l.listen.String()}
	node, err := r.open()
	switch {
	case err == nil:
		r.id = node.ID()
	case unknown != nil:
		cancel()
		return nil, program.NodeError(err)
	default:
		r.fails(err)
	}
	m.Lend(r.id, r.state)
	go r.run(ctx, node)
	return r, nil
}

// open binds the relay.
func (r *lent) open() (*relay.Node, error) {
	listen, advertise, err := r.lending.addresses(r.link.Bootstraps[0].Addr)
	if err != nil {
		return nil, err
	}
	node, err := relay.NewNode(relay.NodeConfig{
		Home: r.home, Link: r.link, Listen: listen, Advertise: advertise, Notice: r.notice, ServeStatus: true,
		Settings:  relay.Settings{Bandwidth: r.lending.bandwidth, MailboxSpace: lentSpace},
		MaxMemory: min(relay.MemoryLimit(), lentMemory), Software: software(), Log: r.log,
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Address = node.Addr().String()
	if advertise != nil {
		r.told.Address = advertise[0].String()
	}
	if r.told.Problem = ""; r.killed {
		node.Kill()
	}
	r.node = node
	return node, nil
}

// notice keeps why the relay is not listed.
func (r *lent) notice(n relay.Notice) {
	waits := ""
	switch n.Kind {
	case relay.NoticeListed:
	case relay.NoticeUnlisted:
		waits = "it was, and is not any more"
	case relay.NoticeRefused:
		waits = n.Verdict.String()
		switch n.Verdict {
		case gossip.VerdictUnreachable:
			waits += "; open the UDP port in router and firewall"
		case gossip.VerdictNoToken, gossip.VerdictNoVouch, gossip.VerdictClosed:
			waits += "; this network asks more of relays than a lent one can show: run hearsay-relay"
		}
	case relay.NoticeWork, relay.NoticeProgress:
		waits = fmt.Sprintf("it computes first, for about %d minutes of one core in all", int(n.Expected.Minutes()+1))
	case relay.NoticeWorked:
		waits = "its work is done, and the next snapshot lists it, if it can be reached"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Waits = waits
}

// software is what the directory shows of this program, at most 24 bytes.
func software() string {
	s := "hearsay " + program.Version()
	return s[:min(len(s), 24)]
}

// addresses returns the address to bind, and that which others dial if it is another
// one: a router forwards it then. towards is any relay of the network.
func (l *lending) addresses(towards netip.AddrPort) (listen netip.AddrPort, advertise []netip.AddrPort, err error) {
	if !l.listen.IsValid() {
		own := sourceOf(towards)
		if !own.IsGlobalUnicast() || own.IsPrivate() {
			return listen, nil, program.Usage("let your router forward a UDP port to this computer, and give --contribute-listen with the router's public address and that port",
				"this computer has no public address of its own for a relay")
		}
		return netip.AddrPortFrom(own, lentPort), nil, nil
	}
	if isOwn(l.listen.Addr()) {
		return l.listen, nil, nil
	}
	if l.listen.Port() == 0 {
		return listen, nil, program.Usage("give the port that the router forwards", "--contribute-listen: %s is not this computer's, and has no port", l.listen.Addr())
	}
	all := netip.IPv4Unspecified()
	if l.listen.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(all, l.listen.Port()), []netip.AddrPort{l.listen}, nil
}

// sourceOf returns the address from which this computer sends to another one. No
// packet leaves.
func sourceOf(to netip.AddrPort) netip.Addr {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	a, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return a.Addr().Unmap()
}

// isOwn tells whether an address is one of this computer's.
func isOwn(a netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, own := range addrs {
		if p, err := netip.ParsePrefix(own.String()); err == nil && p.Addr().Unmap() == a || a.IsLoopback() {
			return true
		}
	}
	return false
}

// run serves until stop is called. What ended it before, or kept it from starting, is
// told, and it tries again: an address may come back, and a program that was just
// stopped may still be finishing on the port.
func (r *lent) run(ctx context.Context, node *relay.Node) {
	defer close(r.done)
	again := cmp.Or(r.lending.again, lentAgain)
	for {
		if node != nil {
			err := node.Run(ctx)
			if ctx.Err() != nil {
				return
			}
			text := "the relay has stopped"
			if err != nil {
				text += ": " + chat.PlainError(err)
			}
			r.fails(errors.New(text))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
		if id, err := relay.HomeID(r.home); err != nil || id != r.id {
			r.fails(errors.New("its key is gone")) // the profile avoids another one
			return
		}
		var err error
		if node, err = r.open(); err != nil {
			r.fails(err)
		}
	}
}

// fails keeps why the relay does not run.
func (r *lent) fails(err error) {
	problem := chat.PlainError(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told.Problem != problem && !r.killed {
		r.log.Warn("the lent relay does not run", "error", problem)
	}
	r.node, r.told.Problem, r.told.Waits = nil, problem, ""
}

// kill ends the relay at once: the profile is destroyed. nil: there is none.
func (r *lent) kill() {
	if r == nil {
		return
	}
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.node != nil {
		r.node.Kill()
	}
}

func (r *lent) state() chat.Lent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}

// stop lets the relay finish what it carries, for at most 30 seconds, and says so if
// it takes a while. nil: there is none.
func (r *lent) stop() {
	if r == nil {
		return
	}
	r.cancel()
	select {
	case <-r.done:
		return
	case <-time.After(lentQuiet):
	}
	fmt.Fprintf(os.Stderr, "%s: the relay finishes what it carries for others, for at most 30 seconds; ctrl+c twice ends it at once\n", name)
	<-r.done
}
