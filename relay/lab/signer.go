package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"

	"hearsay/directory"
	"hearsay/relay"
)

// Signer is the directory node of one founder, which may be running or not.
type Signer struct {
	net   *Network
	index int
	home  string
	addr  netip.AddrPort

	mu    sync.Mutex
	conn  net.PacketConn       // bound for the first start
	node  *relay.DirectoryNode // of the last start
	run   *node                // nil while it does not run
	apart bool                 // no packet of it arrives anywhere
	addrs []netip.AddrPort     // of all its sockets on a simulated network
}

// found makes the homes of the founders and the network file.
func (n *Network) found() error {
	f := relay.Founding{Name: n.cfg.Name, Lab: n.cfg.Lab, Join: directory.JoinToken}
	if n.cfg.Lab {
		f.Join = directory.JoinOpen
	}
	var founders []relay.Founder
	for i := range n.cfg.Signers {
		s := &Signer{net: n, index: i, home: filepath.Join(n.cfg.Dir, "directory")}
		if i > 0 {
			s.home = fmt.Sprintf("%s%02d", s.home, i)
		}
		var err error
		if s.addr, s.conn, err = n.bind(netip.AddrPort{}); err != nil {
			return err
		}
		n.mu.Lock()
		n.signers = append(n.signers, s)
		n.mu.Unlock()
		s.addrs = append(s.addrs, s.addr)
		o := relay.Founder{Home: s.home, Label: fmt.Sprintf("founder %d", i), Listen: s.addr}
		if !n.cfg.Lab {
			o.Passphrase = []byte("lab")
		}
		founders = append(founders, o)
	}
	var err error
	if n.link, err = relay.FoundTogether(f, founders); err != nil {
		return err
	}
	n.relay = n.link
	if !n.cfg.Lab {
		n.relay, err = relay.IssueToken(n.signers[0].home, directory.MaxTokenUses, 30)
	}
	return err
}

// serveSigners runs all directory nodes and waits for their first snapshot.
func (n *Network) serveSigners(ctx context.Context) error {
	for _, s := range n.Signers() {
		s.serve()
	}
	for _, s := range n.Signers() {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Signers returns the directory nodes of the founders, running or not.
func (n *Network) Signers() []*Signer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Signer(nil), n.signers...)
}

// StopDirectory stops all directory nodes. Clients and relays live on with the
// snapshots they have.
func (n *Network) StopDirectory() error {
	var errs []error
	for _, s := range n.Signers() {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

// open makes the node without running it.
func (s *Signer) open() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return errors.New("lab: signer runs already")
	}
	if s.conn == nil {
		if _, s.conn, err = s.net.bind(s.addr); err != nil {
			return err
		}
	}
	name := "directory"
	if s.index > 0 {
		name = fmt.Sprintf("directory%02d", s.index)
	}
	conn := s.conn
	s.conn = nil // the node closes it, also if it cannot be made
	s.node, err = relay.NewDirectoryNode(relay.DirectoryConfig{
		Home: s.home, Conn: conn, ListenPacket: s.listenPacket, Log: s.net.logger(name),
	})
	return err
}

// listenPacket opens a socket for probes and circuits, which is cut off with the
// others.
func (s *Signer) listenPacket() (net.PacketConn, error) {
	a, c, err := s.net.bind(netip.AddrPort{})
	if err != nil || s.net.cfg.Sim == nil {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = append(s.addrs, a)
	if s.apart {
		s.net.cfg.Sim.Cut(a, true)
	}
	return c, nil
}

// serve runs the node that open made.
func (s *Signer) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = run(s.node.Run)
}

// wait waits until the node holds a snapshot.
func (s *Signer) wait(ctx context.Context) error {
	s.mu.Lock()
	n, p := s.node, s.run
	s.mu.Unlock()
	select {
	case <-n.Ready():
		return nil
	case <-p.done:
		return fmt.Errorf("directory node: %w", p.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Begin starts a directory node that does not run, with the home and address
// that it had.
func (s *Signer) Begin() error {
	if err := s.open(); err != nil {
		return err
	}
	s.serve()
	return nil
}

// Start is Begin, but waits until the node holds a snapshot.
func (s *Signer) Start(ctx context.Context) error {
	if err := s.Begin(); err != nil {
		return err
	}
	return s.wait(ctx)
}

// Kill ends the node as a crash would.
func (s *Signer) Kill() {
	s.mu.Lock()
	n, p := s.node, s.run
	s.run = nil
	s.mu.Unlock()
	if p != nil {
		n.Kill()
		p.end()
	}
}

// Stop ends the node as SIGTERM would. It is idempotent.
func (s *Signer) Stop() error {
	s.mu.Lock()
	n, p, conn := s.node, s.run, s.conn
	s.run, s.conn = nil, nil
	s.mu.Unlock()
	switch {
	case p != nil:
		return p.end()
	case n != nil:
		n.Close()
	case conn != nil:
		conn.Close()
	}
	return nil
}

// Part cuts the node off from everybody, or joins it again. It needs a simulated
// network.
func (s *Signer) Part(apart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apart = apart
	for _, a := range s.addrs {
		s.net.cfg.Sim.Cut(a, apart)
	}
}

// Node returns the node of the last start.
func (s *Signer) Node() *relay.DirectoryNode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

// Home returns the founder's home directory.
func (s *Signer) Home() string { return s.home }
