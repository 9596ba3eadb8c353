package main

import (
	"fmt"
	"slices"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Shape of the networks that are measured.
const (
	relayCount = 5  // four are on the path of a circuit with a destination
	manyLinks  = 4  // of the client side of many circuits: one link holds 32
	manyEach   = 16 // circuits on each of them

	// chainCPU is the CPU time per MB over which a chain is no baseline.
	chainCPU = 20 * time.Millisecond

	// What a chain needed per MB on the computer that the targets of CPU time
	// were set on, in all and in one node.
	chainThere, chainNodeThere = 15700 * time.Microsecond, 3900 * time.Microsecond
)

// pair is a network of circuits and a chain beside it, both of three relays
// and one client process.
type pair struct {
	net           *network
	ids           []directory.RelayID // of net.relays
	client        *child              // stream 0 alone, then many more
	chain         []*child            // three nodes
	chainClient   *child
	path          []directory.RelayID // of stream 0
	idle          []usage             // of net.relays, before anything moved
	closeChildren []*child
}

func (p *pair) close() {
	for _, c := range p.closeChildren {
		c.stop()
	}
	if p.net != nil {
		p.net.close()
	}
}

func (p *pair) spawn(role, name string) (*child, error) {
	c, err := spawn(role, name)
	if err == nil {
		p.closeChildren = append(p.closeChildren, c)
	}
	return c, err
}

// startPair starts both. Stream i of one client stands for stream i of the
// other.
func (b *bench) startPair() (_ *pair, err error) {
	dir, err := b.temp()
	if err != nil {
		return nil, err
	}
	p := &pair{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.net, err = startNetwork(dir, relayCount, true); err != nil {
		return nil, err
	}
	p.ids = p.net.ids
	if p.client, err = p.spawn("client", "client"); err != nil {
		return nil, err
	}
	if err := p.client.call("start", openArgs{Link: p.net.link, Clients: b.links}, nil); err != nil {
		return nil, err
	}
	var opened openResult
	if err := p.client.call("open", openArgs{Circuits: b.each}, &opened); err != nil {
		return nil, err
	}
	p.path = opened.Path
	next := ""
	for i := 3; i > 0; i-- {
		c, err := p.spawn("chain", fmt.Sprintf("chain%d", i))
		if err != nil {
			return nil, err
		}
		if err := c.call("open", chainNodeArgs{Next: next, First: i == 1}, &next); err != nil {
			return nil, err
		}
		p.chain = append([]*child{c}, p.chain...)
	}
	if p.chainClient, err = p.spawn("chain client", "chain-client"); err != nil {
		return nil, err
	}
	return p, p.chainClient.call("open", chainOpenArgs{Addr: next, Links: b.links, Streams: b.each}, nil)
}

// onPath returns the processes of the relays of the first circuit.
func (p *pair) onPath() []*child {
	var on []*child
	for _, id := range p.path {
		on = append(on, p.net.relays[slices.Index(p.ids, id)])
	}
	return on
}

// run is the outcome of one transfer.
type run struct {
	rate  float64       // MB/s
	total time.Duration // CPU per MB of all nodes
	relay time.Duration // CPU per MB of one node that only relays, the mean of two
	alloc float64       // heap objects per cell in such a node
}

// move transfers over some streams of a client and measures all nodes. relays
// are those of the path, of which the first two only relay.
func move(label string, client *child, relays, all []*child, a useArgs) (run, error) {
	nodes := append(slices.Clone(all), client)
	before, err := usages(nodes)
	if err != nil {
		return run{}, err
	}
	var res transferResult
	err = profiled(label, nodes, func() error { return client.call("transfer", a, &res) })
	if err != nil {
		return run{}, err
	}
	after, err := usages(nodes)
	if err != nil {
		return run{}, err
	}
	mb := float64(res.Bytes) / 1e6
	r := run{rate: res.Rate / 1e6}
	for i, n := range nodes {
		d := time.Duration(float64(after[i].CPU-before[i].CPU) / mb)
		r.total += d
		if slices.Contains(relays[:2], n) {
			r.relay += d / 2
			r.alloc += float64(after[i].Mallocs-before[i].Mallocs) / float64(res.Bytes/cell.DataSize) / 2
		}
	}
	return r, nil
}

// compare runs circuits and chain in turn and returns the medians, that of the
// ratios of turns included: both halves of a turn see the same computer.
func (b *bench) compare(p *pair, label string, a useArgs) (circuit, chain run, ratio float64, err error) {
	var circuits, chains []run
	var ratios []float64
	for i := range b.rounds + 1 {
		c, err := move(label, p.client, p.onPath(), p.net.relays, a)
		if err != nil {
			return circuit, chain, 0, err
		}
		q, err := move(label, p.chainClient, p.chain, p.chain, a)
		if err != nil {
			return circuit, chain, 0, err
		}
		b.say("%s: circuit %.1f MB/s, %.1f ms/MB; chain %.1f MB/s, %.1f ms/MB", label, c.rate, ms(c.total), q.rate, ms(q.total))
		if i > 0 { // the first warms up
			circuits, chains, ratios = append(circuits, c), append(chains, q), append(ratios, c.rate/q.rate)
		}
	}
	slices.Sort(ratios)
	return medians(circuits), medians(chains), ratios[len(ratios)/2], nil
}

// medians takes the median of each value by itself.
func medians(rs []run) run {
	median := func(f func(run) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, f(r))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return run{
		rate:  median(func(r run) float64 { return r.rate }),
		total: time.Duration(median(func(r run) float64 { return float64(r.total) })),
		relay: time.Duration(median(func(r run) float64 { return float64(r.relay) })),
		alloc: median(func(r run) float64 { return r.alloc }),
	}
}

// pairFor returns the pair, which all parts that need it share.
func (b *bench) pairFor() (*pair, error) {
	if b.pair != nil {
		return b.pair, nil
	}
	p, err := b.startPair()
	if err != nil {
		return nil, err
	}
	b.pair = p
	if p.idle, err = usages(p.net.relays); err != nil {
		return nil, err
	}
	for i, r := range p.onPath() {
		b.say("hop %d of the one circuit is %s", i+1, r.name)
	}
	return p, nil
}

// sound reports a chain that is no baseline.
func (b *bench) sound(name string, chain run) {
	if chain.total > chainCPU {
		b.note("INVALID: %s: the chain itself needs %.1f ms of CPU per MB, over %v: no baseline for the ratio", name, ms(chain.total), chainCPU)
	}
}

// one measures the download over one circuit.
func (b *bench) one() error {
	p, err := b.pairFor()
	if err != nil {
		return err
	}
	r, plain, ratio, err := b.compare(p, "one circuit", useArgs{Count: 1, transferArgs: transferArgs{Bytes: b.megabytes * 1e6}})
	if err != nil {
		return err
	}
	b.sound("one circuit", plain)
	b.add(
		figure{name: "download, one circuit, ratio to the chain", must: 0.60, aim: 0.80, more: true, measured: ratio, plain: fmt.Sprintf("%.1f of %.1f MB/s", r.rate, plain.rate)},
		figure{name: "CPU per MB, three relays and client", must: 26, aim: 20, unit: "ms", measured: ms(r.total), plain: fmt.Sprintf("%.1f ms", ms(plain.total)) + there(r.total, plain.total, chainThere)},
		figure{name: "CPU per MB in one relay", must: 6.0, aim: 4.8, unit: "ms", measured: ms(r.relay), plain: fmt.Sprintf("%.1f ms", ms(plain.relay)) + there(r.relay, plain.relay, chainNodeThere)},
		figure{name: "cells relayed per core", must: 150, aim: 230, more: true, unit: "k/s", measured: perCore(r.relay), plain: fmt.Sprintf("%.0f k/s%s", perCore(plain.relay), thereCells(r.relay, plain.relay))},
		figure{name: "allocations per relayed cell", unit: "allocations", measured: r.alloc, plain: fmt.Sprintf("%.2f of QUIC itself", plain.alloc)},
	)
	return nil
}

// perCore returns the cells that a core relays in a second, in thousands, if a
// megabyte takes so long.
func perCore(mb time.Duration) float64 { return 1e6 / cell.DataSize / mb.Seconds() / 1000 }

// scaled returns what d would be on the computer of the targets, if it were to
// that of the chain beside it as here.
func scaled(d, chain, chainThere time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(chainThere) / float64(max(chain, 1)))
}

// there says scaled in words. It is no verdict: those are by what was measured.
func there(d, chain, chainThere time.Duration) string {
	return fmt.Sprintf("; where the chain needs %.1f: %.1f ms", ms(chainThere), ms(scaled(d, chain, chainThere)))
}

func thereCells(d, chain time.Duration) string {
	return fmt.Sprintf("; where it relays %.0f: %.0f k/s", perCore(chainNodeThere), perCore(scaled(d, chain, chainNodeThere)))
}

// upload measures the other direction.
func (b *bench) upload() error {
	p, err := b.pairFor()
	if err != nil {
		return err
	}
	r, plain, ratio, err := b.compare(p, "upload", useArgs{Count: 1, transferArgs: transferArgs{Bytes: b.megabytes * 1e6, Up: true}})
	if err != nil {
		return err
	}
	b.sound("upload", plain)
	b.add(
		figure{name: "upload, one circuit, ratio to the chain", measured: ratio, plain: fmt.Sprintf("%.1f of %.1f MB/s", r.rate, plain.rate)},
		figure{name: "the same, CPU per MB, all", unit: "ms", measured: ms(r.total), plain: fmt.Sprintf("%.1f ms", ms(plain.total))},
	)
	return nil
}

// many measures the download over 64 circuits at once, and what relays hold
// after it.
func (b *bench) many() error {
	p, err := b.pairFor()
	if err != nil {
		return err
	}
	r, plain, ratio, err := b.compare(p, "64 circuits", useArgs{Count: b.links * b.each, transferArgs: transferArgs{Bytes: b.megabytes * 1e6 / int64(b.links*b.each)}})
	if err != nil {
		return err
	}
	b.sound("64 circuits", plain)
	loaded, err := usages(p.net.relays)
	if err != nil {
		return err
	}
	largest := func(us []usage) float64 {
		return mib(slices.MaxFunc(us, func(a, b usage) int { return int(a.RSS - b.RSS) }).RSS)
	}
	b.add(
		figure{name: "download, 64 circuits, ratio to the chain", must: 0.65, aim: 0.85, more: true, measured: ratio, plain: fmt.Sprintf("%.1f of %.1f MB/s", r.rate, plain.rate)},
		figure{name: "the same, CPU per MB, all", unit: "ms", measured: ms(r.total), plain: fmt.Sprintf("%.1f ms", ms(plain.total))},
		figure{name: "resident memory of a relay, idle", must: 40, aim: 25, unit: "MiB", measured: largest(p.idle)},
		figure{name: "the same after 64 bulk circuits", must: 120, aim: 60, unit: "MiB", measured: largest(loaded)},
	)
	return nil
}

// echoes measures round trips, alone and beside bulk.
func (b *bench) echoes() error {
	p, err := b.pairFor()
	if err != nil {
		return err
	}
	for _, beside := range []int{0, 4, 16, b.links*b.each - 1} {
		if beside > 0 && beside >= b.links*b.each {
			continue // a small run
		}
		if err := b.roundTrips(p, beside); err != nil {
			return err
		}
	}
	return nil
}

// roundTrips measures 256 bytes there and back, beside so many bulk circuits.
func (b *bench) roundTrips(p *pair, beside int) error {
	a := echoArgs{Stream: 0, Count: 3000, Limit: 8 * time.Second}
	name := "round trip of 256 bytes, three hops"
	if beside > 0 {
		// The last stream echoes and the first ones are busy.
		a = echoArgs{Stream: b.links*b.each - 1, Beside: beside, Count: 300, Limit: 5 * time.Second}
		name += fmt.Sprintf(", beside %d bulk circuits", beside)
	}
	var q, plain echoResult
	if err := p.client.call("echo", a, &q); err != nil {
		return err
	}
	if err := p.chainClient.call("echo", a, &plain); err != nil {
		return err
	}
	remark := fmt.Sprintf("%.2f ms", ms(plain.P50))
	if beside > 0 {
		b.say("beside %d: p50 %.2f ms, p99 %.2f ms, bulk %.1f MB/s; chain: %.2f ms, %.2f ms, %.1f MB/s",
			beside, ms(q.P50), ms(q.P99), q.Beside/1e6, ms(plain.P50), ms(plain.P99), plain.Beside/1e6)
		remark += fmt.Sprintf("; bulk %.1f, there %.1f MB/s", q.Beside/1e6, plain.Beside/1e6)
	}
	f50 := figure{name: name + ", p50", unit: "ms", measured: ms(q.P50), plain: remark}
	f99 := figure{name: "the same, p99", unit: "ms", measured: ms(q.P99), plain: fmt.Sprintf("%.2f ms", ms(plain.P99))}
	switch beside {
	case 0:
		f50.must, f50.aim = 0.7, 0.45
		f99.must, f99.aim = 1.5, 0.9
	case b.links*b.each - 1:
		f50.must, f50.aim = 8, 3
	}
	b.add(f50, f99)
	return nil
}
