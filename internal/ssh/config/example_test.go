package config_test

import (
	"context"
	"fmt"
	"os"

	"shoal/internal/ssh/config"
)

func Example() {
	const text = `
Host web*
  User deploy
  ProxyJump gate
Host *
  HostName %h.example.com
  Port 2222
`
	file, err := os.CreateTemp("", "config")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(text); err != nil {
		fmt.Println(err)
		return
	}
	cfg, err := config.Load(config.LoadOptions{File: file.Name()})
	if err != nil {
		fmt.Println(err)
		return
	}
	route, err := cfg.Route(context.Background(), "web1", config.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hop := range route {
		fmt.Printf("%s (port from line %d)\n", hop.Address(), hop.Why("port").Line)
	}
	fmt.Println("user", route[1].User)
	// Output:
	// gate.example.com:2222 (port from line 7)
	// web1.example.com:2222 (port from line 7)
	// user deploy
}
