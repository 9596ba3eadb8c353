package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Waits and sizes of a question by UDP.
const (
	udpAgain  = 500 * time.Millisecond // between packets
	udpWait   = 2 * time.Second        // for an answer
	udpSize   = 1200                   // a first packet of QUIC has this much; less is not answered
	udpID     = 8                      // bytes of a connection id
	udpAsked  = 4                      // addresses, at most
	udpGrease = 0x1a2a3a4a             // a version of QUIC that nobody speaks (RFC 9000 §15)
)

// udpResult is what became of packets to an address, the better the higher.
type udpResult int

const (
	udpUnknown   udpResult = iota // nothing was asked
	udpSilent                     // packets leave, none comes back
	udpNoRoute                    // this computer knows no way there
	udpForbidden                  // this computer lets none out
	udpRefused                    // the other computer says that nothing listens
	udpAnswered                   // QUIC answers
)

// hopSource is a profile that knows to whom its packets go.
type hopSource interface{ FirstHops() []netip.AddrPort }

// unreachable says why a relay that should answer does not, and whether it does
// after all. It asks the addresses that the profile itself sends to in vain, and no
// others.
func (d *doctor) unreachable(ctx context.Context, p statusSource, c check) (told check, answered bool) {
	s, known := p.(hopSource)
	if !known {
		return c, false
	}
	r := askUDP(ctx, s.FirstHops(), udpWait)
	detail, fix := udpWords(r)
	if detail != "" {
		c.Detail += "; " + detail
	}
	c.Fix = or(fix, c.Fix)
	return c, r == udpAnswered
}

// udpWords says what a result means, and what to do.
func udpWords(r udpResult) (detail, fix string) {
	switch r {
	case udpSilent:
		return "packets leave this computer, and none comes back",
			"this network seems to block UDP: try another one, or a VPN that carries UDP; or the relay is away, then wait"
	case udpNoRoute:
		return "this computer has no way out", "connect this computer to a network"
	case udpForbidden:
		return "this computer lets no UDP out", "allow hearsay to send UDP in this computer's firewall"
	case udpRefused:
		return "its computer answers that no relay runs there",
			"wait: whoever runs it may be starting it again; another guard takes over in time"
	case udpAnswered:
		return "UDP gets through, and a relay answers there", "wait and run it again: the relay may have just started, or is busy"
	}
	return "", ""
}

// askUDP asks all addresses at once and returns the best that came of it.
func askUDP(ctx context.Context, addrs []netip.AddrPort, within time.Duration) udpResult {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	addrs = addrs[:min(len(addrs), udpAsked)]
	results := make(chan udpResult, len(addrs))
	for _, a := range addrs {
		go func() { results <- askOne(ctx, a) }()
	}
	best := udpUnknown
	for range addrs {
		best = max(best, <-results)
	}
	return best
}

// askOne offers an address a version of QUIC that nobody speaks. A relay answers
// with those that it speaks, and keeps nothing.
func askOne(ctx context.Context, to netip.AddrPort) udpResult {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", to.String())
	if err != nil {
		return udpError(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	packet := firstPacket()
	answer := make([]byte, 1500)
	for ctx.Err() == nil {
		if _, err := conn.Write(packet); err != nil {
			return udpError(err)
		}
		until := time.Now().Add(udpAgain)
		if end, _ := ctx.Deadline(); end.Before(until) {
			until = end
		}
		if conn.SetReadDeadline(until) != nil {
			break
		}
		n, err := conn.Read(answer)
		switch {
		case err == nil && offersVersions(answer[:n], packet):
			return udpAnswered
		case err != nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err):
			return udpError(err)
		}
	}
	return udpSilent
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// udpError tells what an error of a socket means.
func udpError(err error) udpResult {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return udpForbidden
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETDOWN):
		return udpNoRoute
	case errors.Is(err, syscall.ECONNREFUSED):
		return udpRefused
	}
	return udpSilent
}

// firstPacket returns a packet with a long header of QUIC (RFC 9000 §17.2).
func firstPacket() []byte {
	b := make([]byte, udpSize)
	_, _ = rand.Read(b) // it never fails
	b[0] |= 0xc0
	binary.BigEndian.PutUint32(b[1:], udpGrease)
	b[5] = udpID
	b[6+udpID] = udpID
	return b
}

// offersVersions tells whether a packet is Version Negotiation (RFC 9000 §17.2.1)
// in answer to one of ours: our ids come back, each in the other's place.
func offersVersions(answer, asked []byte) bool {
	const head = 5 + 1 + udpID + 1 + udpID
	if len(answer) < head+4 || answer[0]&0x80 == 0 || binary.BigEndian.Uint32(answer[1:]) != 0 {
		return false
	}
	theirs, ours := asked[6:6+udpID], asked[7+udpID:head]
	return answer[5] == udpID && answer[6+udpID] == udpID &&
		string(answer[6:6+udpID]) == string(ours) && string(answer[7+udpID:head]) == string(theirs)
}
