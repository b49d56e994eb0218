/* Sends a line to one client on 127.0.0.1:2000: the text without a NUL, then the end of the connection. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    char text[255];
    int yes = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(2000) };
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 5) < 0) {
        perror("127.0.0.1:2000");
        return 1;
    }
    fputs("Enter text to send to the client: ", stdout);
    fflush(stdout);
    if (!fgets(text, sizeof text, stdin))
        return 1;
    text[strcspn(text, "\n")] = '\0';
    int client = accept(listener, NULL, NULL);
    ssize_t sent = send(client, text, strlen(text), 0);
    close(client);
    return sent == (ssize_t)strlen(text) ? 0 : 1;
}
