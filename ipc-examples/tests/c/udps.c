/* Shows one datagram that comes to port 2000, and replies with 255 bytes: text, NUL, and rubbish. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void)
{
    char message[256], reply[255];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(2000) }, client;
    socklen_t length = sizeof client;
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(udp, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("port 2000");
        return 1;
    }
    puts("Waiting for the message from the client");
    fflush(stdout);
    ssize_t got = recvfrom(udp, message, sizeof message - 1, 0, (struct sockaddr *)&client, &length);
    if (got < 0)
        return 1;
    message[got] = '\0';
    printf("Message received from the client: %s\n", message);
    fputs("Enter the reply to be sent to the client: ", stdout);
    fflush(stdout);
    memset(reply, '#', sizeof reply);
    if (!fgets(reply, sizeof reply, stdin))
        return 1;
    reply[strcspn(reply, "\n")] = '\0';
    if (sendto(udp, reply, sizeof reply, 0, (struct sockaddr *)&client, length) < 0)
        return 1;
    puts("Reply to the client sent ");
    return 0;
}
