/* Prints what one recv gives from 127.0.0.1:2000, up to 255 bytes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    char text[256];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(2000) };
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("127.0.0.1:2000");
        return 1;
    }
    ssize_t got = recv(server, text, sizeof text - 1, 0);
    if (got < 0)
        return 1;
    text[got] = '\0';
    printf("Data received from server: %s", text);
    return 0;
}
