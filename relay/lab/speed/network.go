package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"hearsay/directory"
	"hearsay/relay"
)

// network is a lab network of processes; its directory runs in this one.
type network struct {
	link   string
	relays []*child
	ids    []directory.RelayID // of relays
	stop   func()
}

// startNetwork founds a network of n relays and returns when all know it.
func startNetwork(dir string, n int, lifted bool) (_ *network, err error) {
	conn, err := listen()
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "directory")
	link, err := relay.Found(home, relay.Founding{Name: "speed", Listen: addr, Lab: true, Join: directory.JoinOpen})
	if err != nil {
		conn.Close()
		return nil, err
	}
	d, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home, Conn: conn})
	if err != nil {
		return nil, err
	}
	net := &network{link: link.String(), stop: d.Close}
	defer func() {
		if err != nil {
			net.close()
		}
	}()
	for i := range n {
		r, err := spawn("relay", fmt.Sprintf("relay%d", i+1))
		if err != nil {
			return nil, err
		}
		net.relays = append(net.relays, r)
		var opened relayResult
		a := relayArgs{Home: filepath.Join(dir, r.name), Link: net.link, Files: d.Files(), Lifted: lifted}
		if err := r.call("open", a, &opened); err != nil {
			return nil, err
		}
		net.ids = append(net.ids, opened.ID)
		if err := d.Publish(opened.Descriptor); err != nil {
			return nil, err
		}
	}
	// The directory probes the relays before it signs its first snapshot.
	for _, r := range net.relays {
		if err := r.call("serve", nil, nil); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	net.stop = func() { cancel(); <-ended }
	for _, r := range net.relays {
		if err := r.call("listed", n, nil); err != nil {
			return nil, err
		}
	}
	return net, nil
}

// close ends the network and all its processes.
func (n *network) close() {
	for _, r := range n.relays {
		r.stop()
	}
	n.stop()
}
