package shadowsocks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// freeAttempts bounds how often a free range of ports is looked for.
const freeAttempts = 64

// port is one listening port, TCP and UDP. Its slot is what the plane calls it, for as long as it is open.
type port struct {
	tcp  *net.TCPListener
	udp  *net.UDPConn
	slot int
	// loops are those that take what comes in.
	loops *sync.WaitGroup
}

// listen opens count ports from first on, or a free range if first is 0.
func listen(ctx context.Context, host string, first, count int) ([]port, error) {
	if first != 0 {
		return listenRange(ctx, host, first, count)
	}
	var err error
	for range freeAttempts {
		var ports []port
		if ports, err = listenFree(ctx, host, count); err == nil {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("shadowsocks: no free range of %d ports: %w", count, err)
}

// listenFree takes any free port as the first of a range.
func listenFree(ctx context.Context, host string, count int) ([]port, error) {
	one, err := listenOne(ctx, host, 0)
	if err != nil {
		return nil, err
	}
	first := one.number()
	if count == 1 {
		return []port{one}, nil
	}
	if first+count > 1<<16 {
		one.close()
		return nil, errors.New("range passes the last port")
	}
	rest, err := listenRange(ctx, host, first+1, count-1)
	if err != nil {
		one.close()
		return nil, err
	}
	return append([]port{one}, rest...), nil
}

func listenRange(ctx context.Context, host string, first, count int) ([]port, error) {
	ports := make([]port, 0, count)
	for number := first; number < first+count; number++ {
		p, err := listenOne(ctx, host, number)
		if err != nil {
			for _, open := range ports {
				open.close()
			}
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

func listenOne(ctx context.Context, host string, number int) (port, error) {
	// Phones pay for every keep-alive with their radio, so ask rarely.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Minute, Interval: 30 * time.Second, Count: 4,
	}}
	config.SetMultipathTCP(false)
	tcp, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(number)))
	if err != nil {
		return port{}, fmt.Errorf("shadowsocks: %w", err)
	}
	p := port{tcp: tcp.(*net.TCPListener), loops: new(sync.WaitGroup)}
	udp, err := config.ListenPacket(ctx, "udp", net.JoinHostPort(host, strconv.Itoa(p.number())))
	if err != nil {
		p.close()
		return port{}, fmt.Errorf("shadowsocks: %w", err)
	}
	p.udp = udp.(*net.UDPConn)
	return p, nil
}

func (p port) number() int { return p.tcp.Addr().(*net.TCPAddr).Port }

func (p port) close() {
	_ = p.tcp.Close()
	if p.udp != nil {
		_ = p.udp.Close()
	}
}
