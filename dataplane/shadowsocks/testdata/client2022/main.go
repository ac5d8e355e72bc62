// Command client2022 is v2fly's client of Shadowsocks 2022 (v2ray-core, MIT) behind a SOCKS5 listener, with nothing else of
// v2ray. It is a module of its own, so that ours does not depend on what it links.
package main

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/signal"

	core "github.com/v2fly/v2ray-core/v5"
	"github.com/v2fly/v2ray-core/v5/app/dispatcher"
	"github.com/v2fly/v2ray-core/v5/app/proxyman"
	_ "github.com/v2fly/v2ray-core/v5/app/proxyman/inbound"
	_ "github.com/v2fly/v2ray-core/v5/app/proxyman/outbound"
	"github.com/v2fly/v2ray-core/v5/common/net"
	"github.com/v2fly/v2ray-core/v5/common/serial"
	"github.com/v2fly/v2ray-core/v5/proxy/shadowsocks2022"
	"github.com/v2fly/v2ray-core/v5/proxy/socks"
	"google.golang.org/protobuf/types/known/anypb"
)

func main() {
	local := flag.Int("local", 0, "port of the SOCKS5 listener on 127.0.0.1")
	server := flag.Int("server", 0, "port of the Shadowsocks server on 127.0.0.1")
	method := flag.String("method", "", "method of AEAD-2022")
	identity := flag.String("identity", "", "identity PSK, base64")
	psk := flag.String("psk", "", "user PSK, base64")
	flag.Parse()
	if err := run(*local, *server, *method, *identity, *psk); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until an interrupt.
func run(local, server int, method, identity, psk string) error {
	ipsk, err := base64.StdEncoding.DecodeString(identity)
	if err != nil {
		return err
	}
	upsk, err := base64.StdEncoding.DecodeString(psk)
	if err != nil {
		return err
	}
	loopback := net.NewIPOrDomain(net.LocalHostIP)
	instance, err := core.New(&core.Config{
		App: []*anypb.Any{
			serial.ToTypedMessage(&dispatcher.Config{}),
			serial.ToTypedMessage(&proxyman.InboundConfig{}),
			serial.ToTypedMessage(&proxyman.OutboundConfig{}),
		},
		Inbound: []*core.InboundHandlerConfig{{
			ReceiverSettings: serial.ToTypedMessage(&proxyman.ReceiverConfig{
				PortRange: net.SinglePortRange(net.Port(local)), Listen: loopback,
			}),
			ProxySettings: serial.ToTypedMessage(&socks.ServerConfig{Address: loopback, UdpEnabled: true}),
		}},
		Outbound: []*core.OutboundHandlerConfig{{
			ProxySettings: serial.ToTypedMessage(&shadowsocks2022.ClientConfig{
				Method: method, Psk: upsk, Ipsk: [][]byte{ipsk}, Address: loopback, Port: uint32(server),
			}),
		}},
	})
	if err != nil {
		return err
	}
	if err := instance.Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return instance.Close()
}
