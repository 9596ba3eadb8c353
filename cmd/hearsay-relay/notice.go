package main

import (
	"fmt"
	"io"
	"time"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// notices prints how joining goes, on stderr, each thing once.
type notices struct {
	w  chan relay.Notice // at most 16 wait; more would be of no use to anybody
	to io.Writer
}

// noticesTo returns the hook for a node and a function that prints what came
// until stop is closed.
func noticesTo(w io.Writer) *notices { return &notices{w: make(chan relay.Notice, 16), to: w} }

// Notice takes a notice without waiting.
func (n *notices) Notice(m relay.Notice) {
	select {
	case n.w <- m:
	default:
	}
}

// run prints notices until stop is closed. id and network say whose they are.
func (n *notices) run(stop <-chan struct{}, id directory.RelayID, network func() *directory.NetworkFile) {
	for {
		select {
		case <-stop:
			return
		case m := <-n.w:
			n.print(m, id, network())
		}
	}
}

func (n *notices) print(m relay.Notice, id directory.RelayID, file *directory.NetworkFile) {
	say := func(format string, args ...any) { fmt.Fprintf(n.to, name+": "+format+"\n", args...) }
	switch m.Kind {
	case relay.NoticeListed:
		say("listed in the directory")
	case relay.NoticeUnlisted:
		program.Warn(n.to, name, "no longer listed in the directory")
	case relay.NoticeRefused:
		program.Warn(n.to, name, "%s", m.Verdict)
		if hint := advice(m.Verdict, id, file); hint != "" {
			say("hint: %s", hint)
		}
	case relay.NoticeWork:
		say("this open network wants a proof of work first; it takes about %s of one core", roughly(m.Expected))
	case relay.NoticeProgress:
		if m.Elapsed > m.Expected {
			say("proof of work: %s so far; it is a matter of luck, and was expected to take %s", roughly(m.Elapsed), roughly(m.Expected))
			return
		}
		say("proof of work: %s of about %s", roughly(m.Elapsed), roughly(m.Expected))
	case relay.NoticeWorked:
		say("proof of work done in %s; the next snapshot lists the relay, if it can be reached", roughly(m.Elapsed))
	}
}

// roughly writes a time as people do.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "a second"
	case d < 90*time.Second:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()+0.5))
}

// advice says what the operator can do about a verdict.
func advice(code gossip.VerdictCode, id directory.RelayID, file *directory.NetworkFile) string {
	switch code {
	case gossip.VerdictMalformed, gossip.VerdictSignature, gossip.VerdictProtocol:
		return "update this program: the network may run a newer one"
	case gossip.VerdictClock, gossip.VerdictExpired:
		return "set the clock of this computer"
	case gossip.VerdictAddress:
		return "give --advertise with an address of the internet"
	case gossip.VerdictUnreachable:
		return "open the UDP port in router and firewall, and see that --advertise is right"
	case gossip.VerdictNoToken, gossip.VerdictNoVouch:
		return ask(id, file)
	case gossip.VerdictToken, gossip.VerdictTokenUsed, gossip.VerdictIssuer, gossip.VerdictVouch, gossip.VerdictVouchUsed, gossip.VerdictVoucher,
		gossip.VerdictCrowd:
		return "start it again with another: " + ask(id, file)
	case gossip.VerdictYoungVoucher:
		return "wait: it is listed when the relay of who vouches is old enough"
	case gossip.VerdictClosed:
		return fmt.Sprintf("ask the founders to add it: hearsay-directory founder amend --add-relay %s", id)
	case gossip.VerdictPrefix:
		return "use an address in another network"
	case gossip.VerdictExcluded, gossip.VerdictOther:
		return "hearsay-relay status says more"
	case gossip.VerdictWaiting:
		return "keep the home and wait: a new identity waits again"
	}
	return ""
}

// ask says whom to ask for a way in, by what the network takes.
func ask(id directory.RelayID, file *directory.NetworkFile) string {
	token := "ask a founder for `hearsay-directory token` and give it as --token"
	vouch := fmt.Sprintf("ask an operator of listed relays for `hearsay-relay vouch %s` and give it as --vouch", id)
	switch {
	case file == nil || file.Join&directory.JoinVouch == 0:
		return token
	case file.Join&directory.JoinToken == 0:
		return vouch
	}
	return token + "; or " + vouch
}
