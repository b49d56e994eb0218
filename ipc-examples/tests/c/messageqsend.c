/* Adds one word to the queue of the file messagefile and the id 'a', with type 1 and without a NUL. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

int main(void)
{
    struct { long type; char text[255]; } message = { .type = 1 };
    close(open("messagefile", O_WRONLY | O_CREAT, 0666));
    int queue = msgget(ftok("messagefile", 'a'), 0666 | IPC_CREAT);
    if (queue < 0) {
        perror("msgget");
        return 1;
    }
    fputs("Enter a message to add to message queue : ", stdout);
    fflush(stdout);
    if (scanf("%254s", message.text) != 1)
        return 1;
    if (msgsnd(queue, &message, strlen(message.text), IPC_NOWAIT) < 0) {
        perror("msgsnd");
        return 1;
    }
    printf("The message sent is %s\n", message.text);
    return 0;
}
