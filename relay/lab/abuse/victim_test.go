package abuse

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"hearsay/directory"
	"hearsay/relay"
)

// victim is the process of the relay under attack: a whole relay.Node with
// its own socket. It knows the relays that it is told to know.
type victim struct {
	node   *relay.Node
	target target
}

// target is what everybody knows of the victim.
type target struct {
	Network directory.NetworkID
	Relay   directory.Relay
}

// startArgs say how the victim runs.
type startArgs struct {
	Home      string
	MaxMemory int64             // bytes
	Relays    []directory.Relay // that are listed beside it
}

// stats are what the victim says of itself.
type stats struct {
	RSS, Heap  int64 // bytes
	Goroutines int
	Circuits   int
}

func newVictim() operations {
	v := &victim{}
	return operations{
		"start":  op(v.start),
		"stats":  op(func(none) (any, error) { return v.stats(), nil }),
		"settle": op(func(none) (any, error) { return v.settle(), nil }),
	}
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func listenLoopback() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
}

func (v *victim) start(a startArgs) (any, error) {
	files, link, err := found(filepath.Join(a.Home, "directory"))
	if err != nil {
		return nil, err
	}
	conn, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	relay.TuneProcess(a.MaxMemory)
	v.node, err = relay.NewNode(relay.NodeConfig{
		Home: filepath.Join(a.Home, "relay"), Link: link, Files: files, Conn: conn,
		MaxMemory: a.MaxMemory,
	})
	if err != nil {
		return nil, err
	}
	d, err := directory.ParseDescriptor(directory.Rules{Network: link.ID, Lab: true, Join: directory.JoinOpen}, v.node.Descriptor(), time.Now())
	if err != nil {
		return nil, err
	}
	v.target = target{Network: link.ID, Relay: directory.Relay{
		ID: d.ID, LinkKey: d.LinkKey, Addrs: d.Addrs,
		OnionKey: d.OnionKeys[0].Key, OnionEpoch: d.OnionKeys[0].NotBefore,
	}}
	v.node.Views().Set(directory.InsecureView(link.ID, true, time.Now(), append(a.Relays, v.target.Relay)))
	go func() {
		err := v.node.Run(context.Background())
		os.Stderr.WriteString("the relay ended: " + errors.Join(err, errors.New("too soon")).Error())
		os.Exit(1)
	}()
	<-v.node.Ready()
	return v.target, nil
}

// found makes the file of a lab network whose directory node never runs.
func found(home string) ([][]byte, directory.NetworkLink, error) {
	conn, err := listenLoopback()
	if err != nil {
		return nil, directory.NetworkLink{}, err
	}
	defer conn.Close()
	f := relay.Founding{Name: "abuse", Listen: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Lab: true, Join: directory.JoinOpen}
	link, err := relay.Found(home, f)
	if err != nil {
		return nil, link, err
	}
	dir, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home, Conn: conn})
	if err != nil {
		return nil, link, err
	}
	defer dir.Close()
	return dir.Files(), link, nil
}

func (v *victim) stats() stats {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := stats{Heap: int64(m.HeapAlloc), RSS: resident(), Goroutines: runtime.NumGoroutine(), Circuits: v.node.Status().Circuits}
	if s.RSS == 0 {
		s.RSS = int64(m.Sys - m.HeapReleased)
	}
	return s
}

// settle gives back what nobody uses, and then tells.
func (v *victim) settle() stats {
	debug.FreeOSMemory()
	return v.stats()
}

// resident returns the resident memory of this process, 0 where the system
// does not tell it in /proc.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return n * int64(os.Getpagesize())
}
