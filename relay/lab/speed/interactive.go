package main

func (b *bench) interactive() error { return nil }

func (b *bench) messages() error { return nil }
