// Follows a stream with net/http and bufio, and prints each event's id when it has come.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	reader := bufio.NewReader(answer.Body)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "id: ") {
			fmt.Print(strings.TrimPrefix(line, "id: "))
		}
	}
}
