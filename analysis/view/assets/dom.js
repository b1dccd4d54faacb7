/* Elements of HTML and SVG, for the other files of the page. */
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  const assign = (element, attributes) => {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  const make = (name, attributes, parent) =>
    parent.appendChild(assign(document.createElementNS(SVG, name), attributes));

  const html = (name, className, parent, text) => {
    const element = document.createElement(name);
    element.className = className;
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  };

  window.stackelgridDom = { assign, make, html };
})();
